"""Enquiries, webhooks, files and bots of amoCRM, against the sandbox."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connector.crm.amocrm.files import FileStore
from connector.crm.amocrm.links import Links
from connector.domain import CrmFile
from connector.errors import CrmError
from connector.sandbox.amocrm import drive
from connector.sandbox.state import Company as PortalCompany
from connector.sandbox.state import Contact as PortalContact
from tests.contract.desk import Desk
from tests.contract.office import Office, fresh_deal

pytestmark = pytest.mark.parametrize("office", ["amocrm"], indirect=True)

HOOK = "https://connector.example/hooks/amocrm/main/secret-0000000001"


@pytest.fixture
def desk(office: Office) -> Desk:
    return Desk(office)


def send_form(desk: Desk, name: str = "Заявка с сайта") -> dict[str, Any]:
    body = {
        "source_uid": "site-1",
        "source_name": "Лендинг",
        "metadata": {
            "form_id": "1",
            "form_name": name,
            "form_page": "https://romashka.example",
            "ip": "10.0.0.1",
            "form_sent_at": 1_764_000_000,
            "referer": "https://yandex.example",
        },
        "_embedded": {"leads": [{"name": "Заявка"}], "contacts": [{"name": "Олег"}]},
    }
    return desk.post("leads/unsorted/forms", [body])["_embedded"]["unsorted"][0]


def find(office: Office, uid: str) -> Any:
    return next((lead for lead in office.client.incoming() if lead.id.startswith(uid)), None)


def test_an_enquiry_waits_with_its_kind_source_and_deal(office: Office, desk: Desk) -> None:
    made = send_form(desk)
    lead = find(office, made["uid"])
    assert (lead.kind, lead.channel, lead.name) == ("form", "Лендинг", "Заявка с сайта")
    assert lead.deal_id == str(made["_embedded"]["leads"][0]["id"])
    later = lead.created_at + timedelta(hours=1)
    assert all(one.id != lead.id for one in office.client.incoming(since=later))


def test_a_call_waits_with_its_phone(office: Office, desk: Desk) -> None:
    metadata = {
        "phone": "+79165550101",
        "call_responsible": "АТС",
        "duration": 10,
        "link": "https://pbx.example/1",
        "service_code": "pbx",
        "called_at": 1_764_000_000,
        "uniq": "u1",
        "from": "+79165550101",
    }
    body = {"source_uid": "pbx", "source_name": "АТС", "metadata": metadata, "_embedded": {"leads": [{}]}}
    made = desk.post("leads/unsorted/sip", [body])["_embedded"]["unsorted"][0]
    lead = find(office, made["uid"])
    assert (lead.kind, lead.phones) == ("call", ("+79165550101",))


def test_an_enquiry_accepted_twice_is_one_deal(office: Office, desk: Desk) -> None:
    lead = find(office, send_form(desk)["uid"])
    accept = office.client.accept_incoming
    deal_id = accept(lead.id, responsible_id=office.user_id, stage_id=None)
    assert deal_id == lead.deal_id
    deal = office.portal.deals[int(deal_id)]
    assert deal.responsible_id == int(office.user_id)
    assert find(office, lead.id) is None
    assert accept(lead.id, responsible_id=office.user_id, stage_id=None) == deal_id
    assert office.portal.deals[int(deal_id)] == deal


def test_an_acceptance_whose_answer_was_lost_still_gives_the_deal(office: Office, desk: Desk) -> None:
    lead = find(office, send_form(desk)["uid"])
    office.sandbox.faults.fail_next(1, 502, path_part="/accept", after_commit=True)
    deal_id = office.client.accept_incoming(lead.id, responsible_id=None, stage_id=None)
    assert deal_id == lead.deal_id


def test_an_enquiry_is_declined_once_and_can_no_more_be_accepted(office: Office, desk: Desk) -> None:
    lead = find(office, send_form(desk)["uid"])
    office.client.decline_incoming(lead.id)
    office.client.decline_incoming(lead.id)
    assert office.portal.deals[int(lead.deal_id)].is_deleted
    with pytest.raises(CrmError) as caught:
        office.client.accept_incoming(lead.id, responsible_id=None, stage_id=None)
    assert caught.value.kind == "not_found"


def test_enquiries_are_counted_by_what_became_of_them(office: Office, desk: Desk) -> None:
    client: Any = office.client
    before = client.incoming_summary()
    taken, refused, _ = (find(office, send_form(desk)["uid"]) for _ in range(3))
    office.client.accept_incoming(taken.id, responsible_id=None, stage_id=None)
    office.client.decline_incoming(refused.id)
    after = client.incoming_summary()
    assert (after.total - before.total, after.accepted - before.accepted) == (3, 1)
    assert after.declined - before.declined == 1
    assert after.by_kind["form"] - before.by_kind["form"] == 3


def test_an_enquiry_that_waits_is_not_taken_for_accepted_when_amocrm_refuses(
    office: Office, desk: Desk
) -> None:
    lead = find(office, send_form(desk)["uid"])
    with pytest.raises(CrmError) as caught:
        office.client.accept_incoming(lead.id, responsible_id=None, stage_id="987654321")
    assert caught.value.kind == "rejected"
    assert find(office, lead.id) is not None


def test_what_is_no_enquiry_is_not_found(office: Office) -> None:
    for wrong in ("", "../account", "abc:def", "no0such0uid"):
        with pytest.raises(CrmError) as caught:
            office.client.accept_incoming(wrong, responsible_id=None, stage_id=None)
        assert caught.value.kind == "not_found"


def test_links_of_a_deal_are_made_read_and_cut_however_often(office: Office) -> None:
    first, second = (office.portal.add("contact", PortalContact(0, name), by=2) for name in ("Олег", "Анна"))
    company = office.portal.add("company", PortalCompany(0, "ООО «Ромашка»"), by=2)
    deal, other = fresh_deal(office), fresh_deal(office, contact_ids=[first.id])
    links: Links = office.client.links  # type: ignore[attr-defined]
    deal_id = str(deal.id)
    for _ in range(2):
        links.contact(deal_id, str(first.id))
        links.contact(deal_id, str(second.id), is_main=True)
        links.company(deal_id, str(company.id))
    found = list(links.of([deal_id, str(other.id)]))
    assert [(one.kind, one.id, one.is_main) for one in found if one.deal_id == deal_id] == [
        ("contacts", str(second.id), True),
        ("contacts", str(first.id), False),
        ("companies", str(company.id), False),
    ]
    assert [one.id for one in found if one.deal_id == str(other.id)] == [str(first.id)]
    for one in [*found, *found]:
        if one.deal_id == deal_id:
            links.cut(one)
    assert list(links.of([deal_id])) == []


def test_the_integrations_own_sources_are_read(office: Office, desk: Desk) -> None:
    rows = desk.get("sources")["_embedded"]["sources"]
    client: Any = office.client
    assert [(one.id, one.name) for one in client.sources()] == [(str(r["id"]), r["name"]) for r in rows]


def hooks(desk: Desk) -> dict[str, bool]:
    rows = (desk.get("webhooks") or {"_embedded": {"webhooks": []}})["_embedded"]["webhooks"]
    return {row["destination"]: row["disabled"] for row in rows}


def test_a_webhook_is_told_as_ours_only_while_amocrm_calls_it(office: Office, desk: Desk) -> None:
    assert office.client.is_subscribed(HOOK) is False
    assert office.client.subscribe(HOOK).created
    assert office.client.is_subscribed(HOOK) is True
    switch_off(office, HOOK)
    assert office.client.is_subscribed(HOOK) is False
    again = office.client.subscribe(HOOK)
    assert not again.created
    assert again.manual_steps == ()
    assert office.client.is_subscribed(HOOK) is True
    desk.post("webhooks", {"destination": HOOK, "settings": ["add_lead"]})
    assert office.client.is_subscribed(HOOK) is False


def switch_off(office: Office, destination: str) -> None:
    for hook in office.sandbox.amocrm.delivery.hooks.values():
        if hook.destination == destination:
            hook.disabled = True


@pytest.mark.parametrize(
    "known",
    [
        "https://old.example/hooks/amocrm/main/secret-0000000001",
        "https://old.example/prefix/hooks/amocrm/main/secret-0000000001",
        "https://connector.example/hooks/amocrm/main/secret-of-last-year",
    ],
)
def test_a_webhook_at_our_earlier_address_is_removed(office: Office, desk: Desk, known: str) -> None:
    office.client.subscribe(known)
    office.client.subscribe(HOOK)
    assert known not in hooks(desk)
    assert hooks(desk)[HOOK] is False


@pytest.mark.parametrize(
    "known",
    [
        "https://telephony.example/amo",
        "https://telephony.example/hooks/amocrm/main/its-own-secret",
        "https://connector.example/hooks/amocrm/another/secret-0000000001",
        "https://connector.example/widget",
    ],
)
def test_somebody_elses_webhook_is_left_alone(office: Office, desk: Desk, known: str) -> None:
    desk.post("webhooks", {"destination": known, "settings": ["add_lead"]})
    office.client.subscribe(HOOK)
    assert known in hooks(desk)


def store_of(office: Office) -> FileStore:
    client: Any = office.client
    return FileStore(client._api, client._account.settings().drive_url)


def big_file(parts: float) -> CrmFile:
    size = int(drive.MAX_PART_SIZE * parts)
    return CrmFile("Каталог.pdf", (b"%PDF-1.7 " * (size // 9 + 1))[:size], "application/pdf")


def content_of(office: Office, uuid: str) -> bytes:
    return next(file.content for file in office.portal.files.values() if file.uuid == uuid)


def test_a_file_of_several_parts_arrives_whole(office: Office) -> None:
    file = big_file(2.3)
    stored = store_of(office).upload(file)
    assert content_of(office, stored.uuid) == file.content
    assert stored.size == len(file.content)


@pytest.mark.parametrize("after_commit", [False, True], ids=["the part was lost", "its answer was lost"])
def test_a_broken_upload_goes_on_or_begins_anew(office: Office, after_commit: bool) -> None:
    file = big_file(1.5)
    office.sandbox.faults.fail_next(1, 504, path_part="/upload/", after_commit=after_commit)
    stored = store_of(office).upload(file)
    assert content_of(office, stored.uuid) == file.content


def test_a_bot_is_started_on_a_deal_and_an_unknown_one_is_not(office: Office) -> None:
    deal = fresh_deal(office)
    bots = office.sandbox.amocrm.bots
    assert office.client.start_automation("566", str(deal.id)) is True
    assert [(run.bot_id, run.entity_type, run.entity_id) for run in bots.runs] == [(566, "leads", deal.id)]
    for unknown in ("987654321", "Приветствие"):
        with pytest.raises(CrmError, match=f"no Salesbot {unknown}"):
            office.client.start_automation(unknown, str(deal.id))
    with pytest.raises(CrmError):
        office.client.start_automation("566", "987654321")
    assert len(bots.runs) == 1


def test_a_bot_is_never_started_twice_by_itself(office: Office) -> None:
    deal = fresh_deal(office)
    office.sandbox.faults.fail_next(1, 502, path_part="/run", after_commit=True)
    with pytest.raises(CrmError) as caught:
        office.client.start_automation("565", str(deal.id))
    assert caught.value.kind == "retry"
    assert [run.entity_id for run in office.sandbox.amocrm.bots.runs].count(deal.id) == 1
