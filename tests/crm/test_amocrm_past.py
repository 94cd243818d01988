"""amoCRM's answers about the past that the sandbox cannot be brought to give."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses

from connector.clock import FixedClock
from connector.config import AccountConfig
from connector.crm.amocrm.client import AmoCrmClient
from connector.domain import ActivityKind, CrmEvent, Deletion, Direction, EventKind
from tests.crm.limiter import Turnstile

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SINCE = NOW - timedelta(hours=1)
API = "https://romashka.amocrm.test/api/v4"


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(
            f"{API}/account",
            json={
                "id": 1,
                "name": "Ромашка",
                "current_user_id": 5,
                "is_api_filter_enabled": True,
                "_embedded": {
                    "datetime_settings": {"timezone": "Europe/Moscow"},
                    "task_types": [{"id": 2, "name": "Встреча"}, {"id": 77, "name": "Встреча на объекте"}],
                },
            },
        )
        yield mock


@pytest.fixture
def client() -> AmoCrmClient:
    account = AccountConfig("main", "amocrm", "https://romashka.amocrm.test", "token-of-a-test")
    return AmoCrmClient(account, limiter=Turnstile(), clock=FixedClock(NOW))


def unix(minutes_ago: float) -> int:
    return int((NOW - timedelta(minutes=minutes_ago)).timestamp())


def event(number: int, kind: str, deal_id: int, minutes_ago: float = 30, **more: Any) -> dict[str, Any]:
    return {
        "id": f"01pz58t6p04ymgsgfbmfyf{number:04d}",
        "type": kind,
        "entity_id": deal_id,
        "entity_type": "lead",
        "created_by": 5,
        "created_at": unix(minutes_ago),
        "value_after": [],
        "value_before": [],
        **more,
    }


def tell(web: responses.RequestsMock, path: str, collection: str, *rows: dict[str, Any]) -> None:
    web.get(f"{API}/{path}", json={"_embedded": {collection: list(rows)}})


def tell_events(web: responses.RequestsMock, *rows: dict[str, Any]) -> None:
    """Newest first, as amoCRM seems to list them."""
    tell(web, "events", "events", *sorted(rows, key=lambda row: row["id"], reverse=True))


def test_a_deal_that_came_back_is_not_told_as_deleted(client, web) -> None:
    tell_events(
        web,
        event(1, "lead_deleted", 10, 50),
        event(2, "lead_restored", 10, 40),
        event(3, "lead_deleted", 11, 30),
        event(4, "lead_deleted", 12, 20),
        event(5, "lead_restored", 12, 15),
        event(6, "lead_deleted", 12, 10),
    )
    assert [(one.deal_id, one.at) for one in client.deletions(since=SINCE)] == [
        ("11", NOW - timedelta(minutes=30)),
        ("12", NOW - timedelta(minutes=10)),
    ]


def test_a_deal_deleted_at_the_moment_of_a_merge_was_merged_into_it(client, web) -> None:
    tell_events(
        web,
        event(1, "lead_deleted", 10, 30),
        event(2, "entity_merged", 11, 30),
        event(3, "lead_deleted", 20, 29, created_by=6),
    )
    web.get(f"{API}/leads/11", json={"id": 11, "is_deleted": False})
    found = list(client.deletions(since=SINCE))
    assert found == [
        Deletion("10", NOW - timedelta(minutes=30), merged_into="11"),
        Deletion("20", NOW - timedelta(minutes=29)),
    ]


def test_where_the_event_of_a_merge_names_the_deal_that_is_gone_that_one_is_told(client, web) -> None:
    tell_events(
        web,
        event(1, "entity_merged", 10),
        event(2, "entity_merged", 77, entity_type="contact"),
    )
    web.get(f"{API}/leads/10", status=204)
    assert list(client.deletions(since=SINCE)) == [Deletion("10", NOW - timedelta(minutes=30))]


def test_restorations_fields_tags_and_links_are_changes_and_talk_is_none(client, web) -> None:
    kinds = [
        "lead_restored",
        "custom_field_4439091_value_changed",
        "custom_field_value_changed",
        "entity_tag_deleted",
        "contact_linked",
        "entity_unlinked",
        "common_note_added",
        "incoming_chat_message",
        "task_added",
        "robot_replied",
    ]
    tell_events(web, *(event(number, kind, 10 + number) for number, kind in enumerate(kinds)))
    told = list(client.told_since(SINCE))
    assert [(one.kind, one.entity_id) for one in told] == [
        (EventKind.DEAL_CHANGED, str(10 + number)) for number in range(6)
    ]
    assert isinstance(told[0], CrmEvent)
    assert told[0].dedup.startswith("amocrm:event:01pz58t6p04ymgsgfbmfyf")


def test_a_message_told_of_the_deal_and_of_its_contact_is_one(client, web) -> None:
    message = {"value_after": [{"message": {"id": "1508b51c-aab0-428e-9322-611d847ae747"}}]}
    tell_events(
        web,
        event(1, "incoming_chat_message", 10, 30, linked_talk_contact_id=500, created_by=0, **message),
        event(2, "incoming_chat_message", 500, 30, entity_type="contact", created_by=0, **message),
        event(3, "outgoing_chat_message", 10, 20, value_after=[{"message": {"id": "out-1"}}]),
    )
    for name in ("leads", "contacts", "companies"):
        web.get(f"{API}/{name}/notes", status=204)
    web.get(f"{API}/tasks", status=204)
    first, second = client.activities(since=SINCE)
    assert (first.id, first.kind) == (
        "message:1508b51c-aab0-428e-9322-611d847ae747",
        ActivityKind.MESSAGE,
    )
    assert (first.direction, first.deal_ids, first.contact_ids) == (Direction.IN, ("10",), ("500",))
    assert first.responsible_id is None
    assert (second.direction, second.responsible_id) == (Direction.OUT, "5")


def test_messages_of_a_deal_are_asked_for_by_its_contact_and_others_of_that_chat_left_out(
    client, web
) -> None:
    lead = {"id": 10, "_embedded": {"contacts": [{"id": 500, "is_main": True}], "companies": []}}
    web.get(f"{API}/leads/10", json=lead)
    for path in ("leads/10/notes", "contacts/500/notes", "tasks"):
        web.get(f"{API}/{path}", status=204)
    mine = event(1, "incoming_chat_message", 10, linked_talk_contact_id=500)
    other = event(2, "incoming_chat_message", 99, linked_talk_contact_id=500)
    web.get(f"{API}/events", status=204, match=[responses.matchers.query_param_matcher(query("lead", 10))])
    web.get(
        f"{API}/events",
        json={"_embedded": {"events": [other, mine]}},
        match=[responses.matchers.query_param_matcher(query("contact", 500))],
    )
    (message,) = client.activities(deal_id="10")
    assert (message.deal_ids, message.contact_ids) == (("10",), ("500",))


def query(entity: str, entity_id: int) -> dict[str, Any]:
    return {
        "filter[type][]": ["incoming_chat_message", "outgoing_chat_message"],
        "filter[entity][]": entity,
        "filter[entity_id][]": str(entity_id),
        "limit": "100",
        "page": "1",
    }


def test_the_accounts_own_kinds_of_meeting_are_meetings_too(client, web) -> None:
    for name in ("leads", "contacts", "companies"):
        web.get(f"{API}/{name}/notes", status=204)
    web.get(f"{API}/events", status=204)
    task = {
        "entity_id": 10,
        "entity_type": "leads",
        "responsible_user_id": 5,
        "is_completed": False,
        "text": "Замер",
        "result": [],
        "complete_till": unix(-60),
        "created_at": unix(30),
        "updated_at": unix(30),
    }
    tell(web, "tasks", "tasks", {"id": 1, "task_type_id": 77, **task}, {"id": 2, "task_type_id": 1, **task})
    (meeting,) = client.activities(since=SINCE)
    assert (meeting.id, meeting.kind) == ("task:1", ActivityKind.MEETING)
    asked = next(call.request.url for call in web.calls if "/tasks" in call.request.url)
    assert "filter%5Btask_type%5D%5B%5D=2&filter%5Btask_type%5D%5B%5D=77" in asked


def test_an_invoice_that_no_deal_names_is_found_by_the_event_of_its_linking(client, web) -> None:
    tell(web, "catalogs", "catalogs", {"id": 4517, "name": "Счета", "type": "invoices"})
    items = [
        {
            "value": {
                "unit_price": "100.50",
                "quantity": 2,
                "discount": {"type": "percentage", "value": 10},
            }
        },
        {"value": {"unit_price": 10, "quantity": 3, "total_sum": 25.0}},
    ]
    element = {
        "id": 9,
        "name": "Счёт № 1",
        "created_by": 5,
        "created_at": unix(50),
        "updated_at": unix(40),
        "is_deleted": True,
        "custom_fields_values": [
            {"field_id": 1, "field_code": "ITEMS", "field_type": "items", "values": items}
        ],
    }
    tell(web, "catalogs/4517/elements", "elements", element)
    web.get(f"{API}/leads", status=204)
    link = [{"link": {"entity": {"type": "lead", "id": 6232965}}}]
    tell_events(web, event(1, "entity_linked", 9, entity_type="catalog_4517", value_after=link))
    (invoice,) = client.invoices(since=SINCE)
    assert (invoice.deal_id, str(invoice.amount)) == ("6232965", "205.90")
    assert invoice.status == "cancelled"


def test_enquiries_of_chats_and_mail_say_who_writes_and_what(client, web) -> None:
    chat = {
        "uid": "aa11",
        "category": "chats",
        "source_name": "Telegram",
        "created_at": unix(50),
        "metadata": {"client": {"name": "Олег"}, "from": "oleg", "last_message_text": "Сколько стоит?"},
        "_embedded": {"leads": [{"id": 7}]},
    }
    mail = {
        "uid": "bb22",
        "category": "mail",
        "source_name": None,
        "created_at": unix(40),
        "metadata": {
            "from": {"email": "oleg@example.ru", "name": "Олег Петров"},
            "subject": "Счёт",
            "content_summary": "Пришлите счёт",
        },
        "_embedded": {"leads": []},
    }
    tell(web, "leads/unsorted", "unsorted", chat, mail, chat)
    first, second = client.incoming()
    assert (first.id, first.kind, first.name, first.text) == ("aa11:7", "chat", "Олег", "Сколько стоит?")
    assert (second.id, second.kind, second.emails) == ("bb22", "mail", ("oleg@example.ru",))
    assert (second.name, second.text, second.channel) == ("Олег Петров", "Счёт\nПришлите счёт", None)
