"""What happened around deals of amoCRM, read back from the sandbox through its own API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from connector.domain import Activity, ActivityKind, Direction, EventKind, InvoiceStatus
from connector.sandbox.state import Company as PortalCompany
from connector.sandbox.state import Contact as PortalContact
from connector.sandbox.state import Note, Task
from tests.contract.desk import Desk
from tests.contract.office import Office, PatientClock, fresh_deal

pytestmark = pytest.mark.parametrize("office", ["amocrm"], indirect=True)


@pytest.fixture
def desk(office: Office) -> Desk:
    return Desk(office)


def add_note(office: Office, deal_id: int, kind: str, text: str = "", entity: str = "deal", **params) -> Note:
    now = office.portal.now()
    note = Note(0, entity, deal_id, kind, text, int(office.user_id), now, now, params=params)
    return office.portal.add("note", note, by=int(office.user_id))


def activities(office: Office, deal_id: int, **more) -> dict[str, Activity]:
    return {one.id: one for one in office.client.activities(deal_id=str(deal_id), **more)}


def test_calls_of_telephony_tell_who_spoke_how_long_and_whether_at_all(office: Office) -> None:
    deal = fresh_deal(office)
    common = {"uniq": "1", "source": "АТС", "phone": "+79161234567"}
    talk = add_note(
        office,
        deal.id,
        "call_out",
        duration=184,
        call_status=4,
        call_result="Ждёт КП",
        call_responsible=int(office.user_id),
        **common,
    )
    missed = add_note(
        office, deal.id, "call_in", duration=0, call_status=6, call_responsible="Василий", **common
    )
    silent = add_note(office, deal.id, "call_in", duration=41, **common)
    found = activities(office, deal.id)
    call = found[f"note:{talk.id}"]
    assert (call.kind, call.direction) == (ActivityKind.CALL, Direction.OUT)
    assert (call.answered, call.duration_s, call.text) == (True, 184, "Ждёт КП")
    assert (call.responsible_id, call.deal_ids) == (office.user_id, (str(deal.id),))
    assert call.happened_at == call.created_at == talk.created_at
    lost = found[f"note:{missed.id}"]
    assert (lost.direction, lost.answered, lost.duration_s) == (Direction.IN, False, 0)
    assert lost.responsible_id == office.user_id
    assert found[f"note:{silent.id}"].answered is True


def test_a_call_that_telephony_adds_by_phone_number_is_found_on_its_deal(office: Office, desk: Desk) -> None:
    contact = office.portal.add(
        "contact", PortalContact(0, "Олег", phones=["+79165550199"], responsible_id=int(office.user_id)), by=2
    )
    deal = fresh_deal(office, contact_ids=[contact.id])
    made = desk.post(
        "calls",
        [
            {
                "direction": "inbound",
                "uniq": "u-1",
                "duration": 60,
                "source": "АТС",
                "phone": "89165550199",
                "call_status": 4,
                "call_responsible": int(office.user_id),
            }
        ],
    )
    note_id = made["_embedded"]["calls"][0]["id"]
    call = activities(office, deal.id)[f"note:{note_id}"]
    assert (call.kind, call.direction, call.duration_s) == (ActivityKind.CALL, Direction.IN, 60)


def test_letters_text_messages_and_notes_are_told_apart_and_service_notes_are_none(office: Office) -> None:
    deal = fresh_deal(office)
    letter = add_note(
        office, deal.id, "mail", income=True, subject="Вопрос по договору", content_summary="Добрый день"
    )
    sent = add_note(office, deal.id, "mail", income=False, subject="КП")
    sms = add_note(office, deal.id, "sms_out", "Ваш заказ готов", phone="+79161234567")
    note = add_note(office, deal.id, "common", "Просил перезвонить")
    service = add_note(office, deal.id, "service_message", "Создан счёт", service="Бухгалтерия")
    found = activities(office, deal.id)
    assert (found[f"note:{letter.id}"].kind, found[f"note:{letter.id}"].direction) == (
        ActivityKind.EMAIL,
        Direction.IN,
    )
    assert found[f"note:{letter.id}"].text == "Вопрос по договору\nДобрый день"
    assert found[f"note:{sent.id}"].direction is Direction.OUT
    assert (found[f"note:{sms.id}"].kind, found[f"note:{sms.id}"].text) == (
        ActivityKind.MESSAGE,
        "Ваш заказ готов",
    )
    assert (found[f"note:{note.id}"].kind, found[f"note:{note.id}"].text) == (
        ActivityKind.NOTE,
        "Просил перезвонить",
    )
    assert f"note:{service.id}" not in found


def test_activities_of_a_deals_people_are_told_with_it_and_name_them(office: Office) -> None:
    contact = office.portal.add("contact", PortalContact(0, "Олег"), by=2)
    company = office.portal.add("company", PortalCompany(0, "ООО «Ромашка»"), by=2)
    deal = fresh_deal(office, contact_ids=[contact.id], company_id=company.id)
    of_contact = add_note(office, contact.id, "call_in", entity="contact", uniq="1", duration=5, source="АТС")
    of_company = add_note(office, company.id, "common", "Переехали", entity="company")
    found = activities(office, deal.id)
    assert found[f"note:{of_contact.id}"].contact_ids == (str(contact.id),)
    assert found[f"note:{of_contact.id}"].deal_ids == ()
    assert found[f"note:{of_company.id}"].company_ids == (str(company.id),)


def add_task(office: Office, deal_id: int, kind: int, due_at: datetime, **more) -> Task:
    now = office.portal.now()
    task = Task(
        0, "Встреча в офисе", int(office.user_id), due_at, "deal", deal_id, 2, now, now, kind=kind, **more
    )
    return office.portal.add("task", task, by=2)


def test_a_meeting_is_planned_then_held_or_cancelled(office: Office) -> None:
    deal = fresh_deal(office)
    due = office.portal.now() + timedelta(hours=3)
    past = office.portal.now() - timedelta(hours=2)
    planned = add_task(office, deal.id, 2, due)
    early, late, off = (add_task(office, deal.id, 2, moment) for moment in (due, past, due))
    call_back = add_task(office, deal.id, 1, due)
    office.portal.update("task", early.id, {"is_done": True, "result": "Договорились"}, by=2)
    office.portal.update("task", late.id, {"is_done": True, "result": ""}, by=2)
    office.portal.update("task", off.id, {"is_done": True, "result": "Клиент отменил"}, by=2)
    found = activities(office, deal.id)
    assert f"task:{call_back.id}" not in found
    meeting = found[f"task:{planned.id}"]
    assert (meeting.kind, meeting.planned_at, meeting.happened_at) == (ActivityKind.MEETING, due, None)
    assert not meeting.is_cancelled
    held_early, held_late = found[f"task:{early.id}"], found[f"task:{late.id}"]
    assert held_early.happened_at is not None
    assert held_early.happened_at < due
    assert "Договорились" in held_early.text
    # Closed after its term: it counts on the day on which it was closed, as in amoCRM's own reports.
    assert held_late.planned_at == past
    assert held_late.happened_at is not None
    assert held_late.happened_at > past
    assert found[f"task:{off.id}"].is_cancelled
    assert found[f"task:{off.id}"].happened_at is None


def test_all_activities_since_a_moment_come_once_each_and_oldest_change_first(office: Office) -> None:
    since = office.portal.now()
    deal, other = fresh_deal(office), fresh_deal(office)
    made = [add_note(office, one.id, "common", f"Заметка {n}") for n, one in enumerate((deal, other, deal))]
    meeting = add_task(office, other.id, 2, since + timedelta(days=1))
    ids = [one.id for one in office.client.activities(since=since)]
    assert {f"note:{note.id}" for note in made} | {f"task:{meeting.id}"} <= set(ids)
    assert len(ids) == len(set(ids))
    everything = [one.id for one in office.client.activities()]
    assert len(everything) == len(set(everything))
    assert set(ids) <= set(everything)
    notes = [
        note
        for note in office.portal.notes.values()
        if note.kind in ("common", "call_in", "call_out", "mail", "sms_in", "sms_out") and not note.file_ids
    ]
    assert len(everything) >= len(notes) > 3


def test_tasks_of_deals_tell_when_they_were_closed(office: Office) -> None:
    since = office.portal.now()
    deal = fresh_deal(office)
    due = since + timedelta(days=1)
    open_task, closed = add_task(office, deal.id, 1, due), add_task(office, deal.id, 1, due)
    office.portal.update("task", closed.id, {"is_done": True, "result": "Отправил"}, by=2)
    for found in (
        {task.id: task for task in office.client.tasks(deal_id=str(deal.id))},
        {task.id: task for task in office.client.tasks(since=since)},
    ):
        assert found.keys() >= {str(open_task.id), str(closed.id)}
        assert found[str(open_task.id)].completed_at is None
        task = found[str(closed.id)]
        assert (task.deal_id, task.text, task.result) == (str(deal.id), "Встреча в офисе", "Отправил")
        assert (task.responsible_id, task.due_at) == (office.user_id, due)
        assert task.completed_at is not None
        assert since <= task.completed_at <= office.portal.now()


def test_the_moment_of_completion_is_that_of_the_event_though_the_task_was_changed_later(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal = fresh_deal(office)
    task = add_task(office, deal.id, 1, office.portal.now())
    office.portal.update("task", task.id, {"is_done": True}, by=2)
    closed_at = office.portal.tasks[task.id].updated_at
    monkeypatch.setattr(office.portal, "time_shift", office.portal.time_shift + timedelta(days=2))
    office.portal.update("task", task.id, {"result": "Дописал потом"}, by=2)
    (found,) = office.client.tasks(deal_id=str(deal.id))
    assert found.updated_at >= closed_at + timedelta(days=2)
    assert found.completed_at == closed_at


def test_what_webhooks_should_have_told_stands_in_the_log(office: Office) -> None:
    since = office.portal.now()
    deal, gone = fresh_deal(office), fresh_deal(office)
    other = next(p for p in office.portal.pipelines.values() if p.id != deal.pipeline_id)
    office.portal.update_deal(deal.id, {"pipeline_id": other.id, "stage": other.stages[1].code}, by=0)
    office.portal.update_deal(deal.id, {"responsible_id": 2}, by=int(office.user_id))
    office.portal.update_deal(deal.id, {"amount": Decimal(7)}, by=int(office.user_id))
    office.portal.update_deal(deal.id, {"tags": ["срочно"]}, by=int(office.user_id))
    add_note(office, deal.id, "common", "Это сделку не меняет")
    office.portal.delete_deal(gone.id, by=2)
    told = list(office.client.told_since(since))
    mine = [event.kind for event in told if event.entity_id == str(deal.id)]
    assert mine[:2] == [EventKind.DEAL_ADDED, EventKind.DEAL_STAGE_CHANGED]
    assert mine[2:] == [EventKind.DEAL_CHANGED] * 3
    assert [event.kind for event in told if event.entity_id == str(gone.id)] == [
        EventKind.DEAL_ADDED,
        EventKind.DEAL_DELETED,
    ]
    assert told == list(office.client.told_since(since))
    assert len({event.dedup for event in told}) == len(told)
    assert [event.at for event in told] == sorted(event.at for event in told if event.at)


def test_deleted_deals_are_told_and_those_that_exist_are_told_apart(office: Office) -> None:
    since = office.portal.now()
    kept, gone = fresh_deal(office), fresh_deal(office)
    office.portal.delete_deal(gone.id, by=2)
    found = {deletion.deal_id: deletion for deletion in office.client.deletions(since=since)}
    assert str(kept.id) not in found
    assert found[str(gone.id)].at >= since
    ids = [str(kept.id), str(gone.id), "987654321", str(kept.id)]
    assert office.client.existing(ids) == {str(kept.id)}
    assert office.client.existing([]) == set()


def test_what_came_back_from_the_trash_is_a_change_and_no_deletion(office: Office, desk: Desk) -> None:
    since = office.portal.now()
    deal = fresh_deal(office)
    desk.by_hand("entities/delete", entity="leads", id=deal.id)
    desk.by_hand("entities/restore", entity="leads", id=deal.id)
    assert [one.kind for one in office.client.told_since(since) if one.entity_id == str(deal.id)] == [
        EventKind.DEAL_ADDED,
        EventKind.DEAL_DELETED,
        EventKind.DEAL_CHANGED,
    ]
    assert str(deal.id) not in {one.deal_id for one in office.client.deletions(since=since)}
    assert office.client.existing([str(deal.id)]) == {str(deal.id)}


def test_a_deal_merged_into_another_says_which(office: Office, desk: Desk) -> None:
    since = office.portal.now()
    gone, kept = fresh_deal(office), fresh_deal(office)
    desk.by_hand("entities/merge", entity="leads", id=gone.id, into=kept.id)
    found = {one.deal_id: one.merged_into for one in office.client.deletions(since=since)}
    assert found[str(gone.id)] == str(kept.id)
    assert str(kept.id) not in found


def test_messages_of_a_chat_are_told_both_ways_without_their_text(office: Office, desk: Desk) -> None:
    contact = office.portal.add("contact", PortalContact(0, "Олег"), by=2)
    deal = fresh_deal(office, contact_ids=[contact.id])
    written = desk.by_hand("messages", contact_id=contact.id, lead_id=deal.id, text="Сколько стоит?")
    answered = desk.by_hand(
        "messages",
        contact_id=contact.id,
        lead_id=deal.id,
        text="500",
        is_outgoing=True,
        user_id=int(office.user_id),
    )
    found = activities(office, deal.id)
    question = found[f"message:{written['message_id']}"]
    assert (question.kind, question.direction) == (ActivityKind.MESSAGE, Direction.IN)
    assert (question.deal_ids, question.contact_ids) == ((str(deal.id),), (str(contact.id),))
    answer = found[f"message:{answered['message_id']}"]
    assert (answer.direction, answer.responsible_id) == (Direction.OUT, office.user_id)


@pytest.mark.parametrize("paid", [True, False])
def test_thousands_of_deals_are_looked_for_in_few_requests(
    office: Office, monkeypatch: pytest.MonkeyPatch, paid: bool
) -> None:
    monkeypatch.setattr(office.sandbox.amocrm.world.switches, "filters_paid", paid)
    client = office.again(office.limiter, PatientClock())
    living = {str(deal.id) for deal in office.portal.deals.values() if not deal.is_deleted}
    before = len(office.limiter.asked)
    assert client.existing([*sorted(living), "987654321"]) == living
    assert len(office.limiter.asked) - before <= len(living) / 100 + 5


def test_invoices_are_read_with_their_deal_their_sum_and_whether_they_were_paid(
    office: Office, desk: Desk
) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    made = desk.post("catalogs", [{"name": "Счета", "type": "invoices"}])
    catalog_id = made["_embedded"]["catalogs"][0]["id"]
    path = f"catalogs/{catalog_id}"
    fields = desk.get(f"{path}/custom_fields")["_embedded"]["custom_fields"]
    by_code = {one["code"]: one["id"] for one in fields}

    def bill(name: str, status: str, price: str) -> int:
        values = [
            {"field_id": by_code["BILL_STATUS"], "values": [{"enum_code": status}]},
            {"field_id": by_code["BILL_PRICE"], "values": [{"value": price}]},
        ]
        body = [{"name": name, "custom_fields_values": values}]
        return int(desk.post(f"{path}/elements", body)["_embedded"]["elements"][0]["id"])

    deal = fresh_deal(office)
    open_one, paid = bill("Счёт № 17", "created", "12500.50"), bill("Счёт № 18", "paid", "900")
    metadata = {"quantity": 1, "catalog_id": catalog_id}
    link = [{"to_entity_id": open_one, "to_entity_type": "catalog_elements", "metadata": metadata}]
    desk.post(f"leads/{deal.id}/link", link)
    found = {one.id: one for one in office.client.invoices(since=since)}
    assert found[str(open_one)].deal_id == str(deal.id)
    assert (found[str(open_one)].number, found[str(open_one)].amount) == ("Счёт № 17", Decimal("12500.50"))
    assert (found[str(open_one)].status, found[str(open_one)].paid_at) == (InvoiceStatus.ISSUED, None)
    assert (found[str(paid)].status, found[str(paid)].deal_id) == (InvoiceStatus.PAID, None)
    assert found[str(paid)].paid_at is not None
    assert {one.id for one in office.client.invoices()} >= found.keys()
    assert list(office.client.invoices(since=datetime.now(UTC) + timedelta(days=1))) == []
    assert str(office.client.payment_link(str(deal.id), Decimal("12500.50"))).endswith(f"/pay/{open_one}")
    assert office.client.payment_link(str(deal.id), Decimal(900)) is None
    assert office.client.payment_link(str(fresh_deal(office).id), Decimal(900)) is None
