"""What happened around deals: activities, tasks, invoices, and which deals are still there."""

from __future__ import annotations

import json
import urllib.request
from datetime import datetime, timedelta
from typing import Any

import pytest

from connector.crm.base import Past
from connector.domain import Activity, ActivityKind, Direction, User
from tests.contract.office import Office, fresh_deal

bitrix24_only = pytest.mark.parametrize("office", ["bitrix24"], indirect=True)


@pytest.fixture
def past(office: Office) -> Past:
    return office.client


def rest(office: Office, method: str, **params: Any) -> Any:
    """What a person does in the portal, done by a call of ours with the webhook's rights."""
    base = office.sandbox.describe()["bitrix24"]["webhook_url"].rstrip("/")
    request = urllib.request.Request(
        f"{base}/{method}.json", json.dumps(params).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["result"]


def make_activity(office: Office, deal_id: int, type_id: int, **more: Any) -> str:
    contact_id = next(iter(office.portal.contacts))
    fields = {
        "OWNER_TYPE_ID": 2,
        "OWNER_ID": deal_id,
        "TYPE_ID": type_id,
        "SUBJECT": "Разговор",
        "COMMUNICATIONS": [{"VALUE": "+70000000001", "ENTITY_ID": contact_id, "ENTITY_TYPE_ID": 3}],
        "RESPONSIBLE_ID": office.user_id,
        **more,
    }
    return str(rest(office, "crm.activity.add", fields=fields))


def of_deal(past: Past, deal_id: int, kind: ActivityKind) -> list[Activity]:
    return [one for one in past.activities(deal_id=str(deal_id)) if one.kind is kind]


def test_a_note_is_an_activity_of_its_deal(office: Office, past: Past, since: datetime) -> None:
    deal = fresh_deal(office)
    number = office.client.add_note(str(deal.id), "Клиент просит отсрочку", since=since)
    [note] = of_deal(past, deal.id, ActivityKind.NOTE)
    kind = {"bitrix24": "comment", "amocrm": "note"}[office.crm]
    assert (note.id, note.text) == (f"{kind}:{number}", "Клиент просит отсрочку")
    assert note.deal_ids == (str(deal.id),)
    assert note in list(past.activities(since=since - timedelta(seconds=5)))
    assert note not in list(past.activities(since=since + timedelta(days=1)))


@bitrix24_only
class TestActivities:
    def test_a_meeting_is_planned_until_it_is_completed(self, office: Office, past: Past) -> None:
        deal = fresh_deal(office)
        starts = datetime(2026, 12, 1, 12, 0).astimezone().isoformat()
        number = make_activity(office, deal.id, 1, START_TIME=starts, DESCRIPTION="Показ образцов")
        [planned] = of_deal(past, deal.id, ActivityKind.MEETING)
        assert planned.planned_at == datetime.fromisoformat(starts)
        assert planned.happened_at is None
        assert planned.text == "Разговор\nПоказ образцов"
        assert (planned.responsible_id, planned.deal_ids) == (office.user_id, (str(deal.id),))
        assert planned.contact_ids == (str(next(iter(office.portal.contacts))),)
        rest(office, "crm.activity.update", id=number, fields={"COMPLETED": "Y"})
        [held] = of_deal(past, deal.id, ActivityKind.MEETING)
        assert (held.id, held.happened_at) == (planned.id, planned.planned_at)

    def test_letters_have_a_direction_and_one_not_sent_has_not_happened(
        self, office: Office, past: Past
    ) -> None:
        deal = fresh_deal(office)
        for direction, completed in ((1, "N"), (2, "Y"), (2, "N")):
            make_activity(office, deal.id, 4, DIRECTION=direction, COMPLETED=completed)
        found = of_deal(past, deal.id, ActivityKind.EMAIL)
        assert [(one.direction, one.happened_at is not None) for one in found] == [
            (Direction.IN, True),
            (Direction.OUT, True),
            (Direction.OUT, False),
        ]

    def test_an_activity_belongs_to_all_that_it_is_bound_to(self, office: Office, past: Past) -> None:
        first, second = fresh_deal(office), fresh_deal(office)
        company_id = next(iter(office.portal.companies))
        number = make_activity(office, first.id, 2, COMPLETED="Y", DIRECTION=2)
        for kind, one in ((2, second.id), (4, company_id)):
            rest(office, "crm.activity.binding.add", activityId=int(number), entityTypeId=kind, entityId=one)
        for deal in (first, second):
            [call] = of_deal(past, deal.id, ActivityKind.CALL)
            assert call.deal_ids == (str(first.id), str(second.id))
            assert call.company_ids == (str(company_id),)

    def test_a_todo_is_a_task_and_no_activity(self, office: Office, past: Past) -> None:
        deal = fresh_deal(office)
        make_todo(office, deal.id)
        assert list(past.activities(deal_id=str(deal.id))) == []

    def test_those_that_changed_since_come_oldest_change_first_and_each_once(
        self, office: Office, past: Past
    ) -> None:
        deal = fresh_deal(office)
        numbers = [make_activity(office, deal.id, 2, COMPLETED="Y") for _ in range(5)]
        records = office.sandbox.bitrix24.site.activities
        moment = office.portal.now() - timedelta(days=400)
        for place, number in enumerate(reversed(numbers)):
            records[int(number)]["LAST_UPDATED"] = moment + timedelta(hours=place)
        office.portal.revision += 1
        ours = [f"activity:{number}" for number in numbers]
        read = [one.id for one in past.activities(since=moment) if one.id in ours]
        assert read == list(reversed(ours))
        later = {one.id for one in past.activities(since=moment + timedelta(hours=3))}
        assert later & set(ours) == set(ours[:2])

    def test_more_than_a_page_in_one_second_is_read_whole(self, office: Office, past: Past) -> None:
        deal = fresh_deal(office)
        records = office.sandbox.bitrix24.site.activities
        numbers = [make_activity(office, deal.id, 2, COMPLETED="Y") for _ in range(3)]
        moment = office.portal.now() - timedelta(days=300)
        pattern = records[int(numbers[0])]
        made = [office.portal.new_id("activity") for _ in range(130)]
        for number in made:
            records[number] = {**pattern, "ID": number, "LAST_UPDATED": moment}
        for place, number in enumerate(numbers):
            records[int(number)]["LAST_UPDATED"] = moment + timedelta(seconds=place - 1)
        office.portal.revision += 1
        read = [one.id for one in past.activities(since=moment - timedelta(minutes=1))]
        wanted = {f"activity:{number}" for number in [*made, *numbers]}
        assert [one for one in read if one in wanted] == [
            f"activity:{numbers[0]}",
            *(f"activity:{number}" for number in sorted([*made, int(numbers[1])])),
            f"activity:{numbers[2]}",
        ]


def make_todo(office: Office, deal_id: int) -> str:
    todo = rest(
        office,
        "crm.activity.todo.add",
        ownerTypeId=2,
        ownerId=deal_id,
        deadline="2026-12-01T12:00:00+03:00",
        title="Позвонить",
        responsibleId=office.user_id,
    )
    return str(todo["id"])


class TestTasks:
    def test_a_task_is_read_as_it_was_given(self, office: Office, past: Past, since: datetime) -> None:
        deal_id = str(fresh_deal(office).id)
        due = (since + timedelta(days=1)).replace(microsecond=0)
        task_id = office.client.add_task(
            deal_id, "Обсудить договор\nи сроки", responsible_id=office.user_id, due_at=due, since=since
        )
        [task] = past.tasks(deal_id=deal_id)
        assert (task.id, task.deal_id, task.responsible_id) == (task_id, deal_id, office.user_id)
        assert task.text.startswith("Обсудить договор")
        assert (task.due_at, task.completed_at) == (due, None)
        office.client.complete_task(task_id, "Готово")
        [done] = past.tasks(deal_id=deal_id)
        assert done.completed_at is not None
        assert task_id in {one.id for one in past.tasks(since=since - timedelta(seconds=5))}
        assert task_id not in {one.id for one in past.tasks(since=since + timedelta(days=1))}

    @bitrix24_only
    def test_a_todo_of_the_crm_is_a_task_that_can_be_closed(self, office: Office, past: Past) -> None:
        deal = fresh_deal(office)
        number = make_todo(office, deal.id)
        [todo] = past.tasks(deal_id=str(deal.id))
        assert (todo.id, todo.text, todo.responsible_id) == (f"todo:{number}", "Позвонить", office.user_id)
        assert todo.due_at == datetime.fromisoformat("2026-12-01T12:00:00+03:00")
        for _ in range(2):
            office.client.complete_task(todo.id, "Дозвонились")
        [closed] = past.tasks(deal_id=str(deal.id))
        assert closed.completed_at is not None
        assert closed.text.count("Дозвонились") == 1
        office.client.complete_task("todo:987654321", "неважно")

    @bitrix24_only
    def test_tasks_of_nobodys_deal_are_left_out(self, office: Office, past: Past) -> None:
        made = rest(office, "tasks.task.add", fields={"TITLE": "Личное", "RESPONSIBLE_ID": office.user_id})
        assert made["task"]["id"] not in {task.id for task in past.tasks()}


class TestExisting:
    def test_deals_that_are_gone_are_told_from_those_that_are_there(self, office: Office, past: Past) -> None:
        living = [str(deal.id) for deal in office.portal.deals.values() if not deal.is_deleted][:120]
        gone = fresh_deal(office)
        office.portal.delete_deal(gone.id, by=0)
        asked = [*living, str(gone.id), "987654321"]
        assert past.existing(asked) == set(living)
        assert past.existing([]) == set()

    @bitrix24_only
    def test_the_portal_keeps_no_list_of_deletions(self, past: Past, since: datetime) -> None:
        assert list(past.deletions(since=since)) == []


def test_people_come_with_their_department(office: Office) -> None:
    users: list[User] = office.client.users()
    assert {user.team for user in users} == {"Отдел продаж", "Москва", "Регионы"}
