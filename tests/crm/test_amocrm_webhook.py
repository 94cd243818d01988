from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connector.crm.amocrm.webhook import HANDLERS, TRIGGERS, parse_webhook
from connector.domain import EventKind
from connector.errors import BadWebhook
from tests.crm.hooks import check_webhook, hook_files, read_hook

FORM = "application/x-www-form-urlencoded"
ADDED, CHANGED, MOVED = EventKind.DEAL_ADDED, EventKind.DEAL_CHANGED, EventKind.DEAL_STAGE_CHANGED
ACTIVITY = EventKind.ACTIVITY_CHANGED

#: Events that amoCRM sends and we record without acting on them.
KNOWN_UNUSED = {
    ("leads", "mail_in"),
    ("unsorted", "delete"),
}


@pytest.mark.parametrize(
    ("name", "expect"),
    [
        ("leads_add", [(ADDED, "50110021")]),
        ("leads_add__digital_pipeline", [(ADDED, "50110023")]),
        ("leads_update__price_and_field", [(CHANGED, "50110021")]),
        ("leads_update__moved", [(MOVED, "50110021")]),
        ("leads_status__won", [(MOVED, "50110021")]),
        ("leads_status__two_deals", [(MOVED, "50110021"), (MOVED, "50110022")]),
        ("leads_status__digital_pipeline", [(MOVED, "50110021")]),
        ("leads_responsible", [(CHANGED, "50110021")]),
        ("leads_restore", [(CHANGED, "50110021")]),
        ("leads_delete", [(EventKind.DEAL_DELETED, "50110021")]),
        ("leads_note", [(ACTIVITY, "50110021")]),
        ("contacts_note__company", [(ACTIVITY, "40330050")]),
        ("contacts_add", [(EventKind.CONTACT_CHANGED, "40330001")]),
        ("contacts_update__linked", [(EventKind.CONTACT_CHANGED, "40330001")]),
        ("contacts_add__company", [(EventKind.COMPANY_CHANGED, "40330050")]),
        ("companies_update", [(EventKind.COMPANY_CHANGED, "40330050")]),
        ("event_lead_appeared_in_status__widget", [(MOVED, "50110025")]),
        ("event_mail_in__widget", [(EventKind.OTHER, "50110025")]),
        ("leads_mail_in__digital_pipeline", [(EventKind.OTHER, "50110023")]),
        ("task_add", [(ACTIVITY, "60440001")]),
        ("task_update__nested", [(ACTIVITY, "60440001")]),
        ("task_delete", [(EventKind.ACTIVITY_DELETED, "60440001 task:60440001")]),
        ("unsorted_delete__accepted", [(EventKind.OTHER, "")]),
        ("talk_update", [(ACTIVITY, "")]),
        ("message_add__incoming", [(ACTIVITY, "")]),
    ],
)
def test_a_delivery_says_what_happened_to_what(name: str, expect: list[tuple[EventKind, str]]) -> None:
    body = check_webhook("amocrm", name, expect)
    assert body.account_id == "30511207"
    assert body.token == ""


#: Without widget triggers: they are told apart by their type code, not by a name.
NAMED_EVENTS = [path for path in hook_files("amocrm") if not path.stem.startswith("event_")]


@pytest.mark.parametrize("path", NAMED_EVENTS, ids=lambda path: path.name)
def test_every_recorded_event_has_a_handler_or_is_known_as_unused(path) -> None:
    entity, _, action = path.stem.partition("__")[0].partition("_")
    assert (entity, action) in HANDLERS or (entity, action) in KNOWN_UNUSED, (
        f"{path.name}: add a line to connector.crm.amocrm.webhook.HANDLERS:\n"
        f'    ("{entity}", "{action}"): deal_changed,'
    )
    assert all(event.kind is EventKind.OTHER for event in read_hook(path).events) == (
        (entity, action) in KNOWN_UNUSED
    )


@pytest.mark.parametrize("key", sorted(HANDLERS))
def test_every_handler_has_a_recorded_delivery(key: tuple[str, str]) -> None:
    assert any(path.stem.partition("__")[0] == "_".join(key) for path in hook_files("amocrm"))


def test_an_unused_event_says_what_it_was() -> None:
    body = check_webhook("amocrm", "unsorted_delete__accepted", [(EventKind.OTHER, "")])
    assert body.events[0].note == "unsupported unsorted.delete"


def test_the_time_of_change_is_read() -> None:
    body = check_webhook("amocrm", "leads_update__moved", [(MOVED, "50110021")])
    assert body.events[0].at == datetime(2025, 11, 24, 16, 10, tzinfo=UTC)
    short = check_webhook("amocrm", "leads_status__digital_pipeline", [(MOVED, "50110021")])
    assert short.events[0].at is None


def test_a_repeated_delivery_has_the_same_keys_and_a_different_one_has_others() -> None:
    keys = [event.dedup for path in hook_files("amocrm") for event in read_hook(path).events]
    again = [event.dedup for path in hook_files("amocrm") for event in read_hook(path).events]
    assert keys == again
    assert len(set(keys)) == len(keys)
    assert all(len(key) <= 80 for key in keys)


def test_the_order_of_the_fields_does_not_matter() -> None:
    path = next(path for path in hook_files("amocrm") if path.stem == "leads_status__won")
    turned = b"&".join(reversed(path.read_bytes().split(b"&")))
    assert parse_webhook(turned, FORM).events == read_hook(path).events


def test_holes_and_duplicate_keys_are_read_like_php_reads_them() -> None:
    body = parse_webhook(
        b"account[subdomain]=a&account[id]=7&leads[add][5][id]=1&leads[add][5][id]=2&leads[add][9][id]=3",
        FORM,
    )
    assert [event.entity_id for event in body.events] == ["2", "3"]


def test_a_key_that_is_both_value_and_parent_keeps_both() -> None:
    body = parse_webhook(
        b"account[subdomain]=a&account[id]=7&contacts[note][0][note][type]=3"
        b"&contacts[note][0][note][type][message_uuid]=u",
        FORM,
    )
    assert body.payload["contacts"]["note"]["0"]["note"]["type"] == {"": "3", "message_uuid": "u"}  # type: ignore[index]


def test_another_charset_is_read_when_it_is_named() -> None:
    name = "Кресла".encode("cp1251")
    body = parse_webhook(
        b"account[subdomain]=a&account[id]=7&leads[add][0][id]=1&leads[add][0][name]=" + name,
        FORM + "; charset=windows-1251",
    )
    assert body.payload["leads"]["add"]["0"]["name"] == "Кресла"  # type: ignore[index]


def test_text_that_no_store_can_keep_is_replaced() -> None:
    body = parse_webhook(
        b"account[subdomain]=a&account[id]=7&leads[add][0][id]=1&leads[add][0][name]=a%00b%ff", FORM
    )
    assert body.payload["leads"]["add"]["0"]["name"] == "a\ufffdb\ufffd"  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "content_type", "path"),
    [
        (b"", FORM, "body"),
        (b"leads[add][0][id]=1", FORM, "body['account']"),
        (b"account[id]=7&leads[add][0][id]=1", FORM, "body['account']['subdomain']"),
        (b"account[subdomain]=a&account[id]=7", FORM, "body"),
        (b"account[subdomain]=a&account[id]=7&leads=1", FORM, "body['leads']"),
        (b"account[subdomain]=a&account[id]=x&leads[add][0][id]=1", FORM, "body['account']['id']"),
        (
            b"account[subdomain]=a&account[id]=7&leads[add][0][id]=1e5",
            FORM,
            "body['leads']['add']['0']['id']",
        ),
        (
            b"account[subdomain]=a&account[id]=7&leads[add][0][name]=x",
            FORM,
            "body['leads']['add']['0']['id']",
        ),
        (b"a" + b"[x]" * 17 + b"=1", FORM, "a"),
        (b"account[__proto__]=1", FORM, "account"),
        (b"x" * 600 + b"=1", FORM, "body"),
        (b"a=1&" * 20_001, FORM, "body"),
        (b"a=" + b"x" * (1 << 20), FORM, "body"),
        (b"account[subdomain]=a", "text/html", "content-type"),
        (b"account[subdomain]=a", FORM + "; charset=utf-7", "content-type"),
        (b"[" * 100_000, "application/json", "body"),
        (b'{"event": 1, "account_id": ' + b"9" * 5000 + b"}", "application/json", "body"),
        (b"[1]", "application/json", "body"),
        (b'{"event": {}, "account_id": 1}', "application/json", "body['event']['type_code']"),
    ],
)
def test_a_body_that_amocrm_never_sends_is_refused_with_its_place(
    body: bytes, content_type: str, path: str
) -> None:
    with pytest.raises(BadWebhook) as caught:
        parse_webhook(body, content_type)
    assert caught.value.path == path


def test_all_widget_triggers_are_about_deals() -> None:
    assert set(TRIGGERS) == {"lead_added", "lead_status_changed", "lead_appeared_in_status"}
