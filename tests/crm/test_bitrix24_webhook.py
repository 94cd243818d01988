from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from connector.crm.bitrix24.webhook import HANDLERS, parse_webhook
from connector.domain import EventKind
from connector.errors import BadWebhook
from tests.crm.hooks import check_webhook, hook_files, read_hook

FORM = "application/x-www-form-urlencoded"
MEMBER = "0123456789abcdef0123456789abcdef"
AUTH = f"&ts=1764003000&auth[member_id]={MEMBER}&auth[application_token]=t".encode()

#: Events that Bitrix24 sends and we record without acting on them.
KNOWN_UNUSED = {"ONCRMREQUISITEUPDATE", "ONCRMTIMELINECOMMENTADD", "ONIMBOTMESSAGEADD"}


@pytest.mark.parametrize(
    ("name", "expect"),
    [
        ("ONCRMDEALADD", (EventKind.DEAL_ADDED, "1042")),
        ("ONCRMDEALUPDATE", (EventKind.DEAL_CHANGED, "1042")),
        ("ONCRMDEALUPDATE__application", (EventKind.DEAL_CHANGED, "1042")),
        ("ONCRMDEALDELETE", (EventKind.DEAL_DELETED, "1042")),
        ("ONCRMDEALMOVETOCATEGORY__application", (EventKind.DEAL_STAGE_CHANGED, "1042")),
        ("ONCRMCONTACTUPDATE", (EventKind.CONTACT_CHANGED, "207")),
        ("ONCRMCOMPANYUPDATE", (EventKind.COMPANY_CHANGED, "88")),
        ("ONCRMREQUISITEUPDATE", (EventKind.OTHER, "31")),
        ("ONCRMTIMELINECOMMENTADD__application", (EventKind.OTHER, "990")),
        ("ONTASKADD__application", (EventKind.ACTIVITY_CHANGED, "515")),
        ("ONTASKUPDATE__application", (EventKind.ACTIVITY_CHANGED, "515")),
        ("ONTASKDELETE__application", (EventKind.ACTIVITY_DELETED, "515")),
        ("ONCRMACTIVITYADD", (EventKind.ACTIVITY_CHANGED, "3310")),
        ("ONCRMACTIVITYDELETE", (EventKind.ACTIVITY_DELETED, "activity:3310 todo:3310")),
        ("ONIMBOTMESSAGEADD__application", (EventKind.OTHER, "")),
        ("robot__deal", (EventKind.DEAL_CHANGED, "1042")),
        ("robot__rule", (EventKind.DEAL_CHANGED, "1042")),
    ],
)
def test_a_delivery_says_what_happened_to_what(name: str, expect: tuple[EventKind, str]) -> None:
    body = check_webhook("bitrix24", name, [expect])
    assert body.account_id == MEMBER
    assert body.token == ("" if name == "robot__deal" else "demo-application-token")


#: Without the calls of robots: they carry no event name.
NAMED_EVENTS = [path for path in hook_files("bitrix24") if not path.stem.startswith("robot__")]


@pytest.mark.parametrize("path", NAMED_EVENTS, ids=lambda path: path.name)
def test_every_recorded_event_has_a_handler_or_is_known_as_unused(path) -> None:
    name = path.stem.partition("__")[0]
    assert name in HANDLERS or name in KNOWN_UNUSED, (
        f"{path.name}: add a line to connector.crm.bitrix24.webhook.HANDLERS:\n"
        f'    "{name}": _about(EventKind.DEAL_CHANGED),'
    )
    assert (read_hook(path).events[0].kind is EventKind.OTHER) == (name in KNOWN_UNUSED)


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_every_handler_has_a_recorded_delivery(name: str) -> None:
    assert any(path.stem.partition("__")[0] == name for path in hook_files("bitrix24"))


@pytest.mark.parametrize("path", hook_files("bitrix24"), ids=lambda path: path.name)
def test_no_token_is_left_in_what_is_stored(path) -> None:
    stored = json.dumps(read_hook(path).payload)
    assert "must-not-be-stored" not in stored
    assert "demo-application-token" not in stored


def test_an_unused_event_says_what_it_was() -> None:
    body = check_webhook("bitrix24", "ONCRMREQUISITEUPDATE", [(EventKind.OTHER, "31")])
    assert body.events[0].note == "unsupported ONCRMREQUISITEUPDATE"


def test_the_time_of_sending_is_read() -> None:
    body = check_webhook("bitrix24", "ONCRMDEALADD", [(EventKind.DEAL_ADDED, "1042")])
    assert body.events[0].at == datetime(2025, 11, 24, 16, 50, tzinfo=UTC)


def test_the_same_notice_through_two_handlers_has_one_key_and_another_notice_has_another() -> None:
    plain = check_webhook("bitrix24", "ONCRMDEALUPDATE", [(EventKind.DEAL_CHANGED, "1042")])
    with_tokens = check_webhook(
        "bitrix24", "ONCRMDEALUPDATE__application", [(EventKind.DEAL_CHANGED, "1042")]
    )
    assert plain.events[0].dedup == with_tokens.events[0].dedup
    later = parse_webhook(
        b"event=ONCRMDEALUPDATE&data[FIELDS][ID]=1042&ts=1764003051&auth[member_id]=" + MEMBER.encode(), FORM
    )
    assert later.events[0].dedup != plain.events[0].dedup
    assert len(plain.events[0].dedup) <= 80


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "body"),
        (b"event=ONCRMDEALADD&data[FIELDS][ID]=1", "body['auth']"),
        (b"event=ONCRMDEALADD&data[FIELDS][ID]=1&auth[domain]=x", "body['auth']['member_id']"),
        (b"event=ONCRMDEALADD&auth[member_id]=../../etc", "body['auth']['member_id']"),
        (b"event=ONCRMDEALADD" + AUTH, "body['data']['FIELDS']"),
        (b"event=ONCRMDEALADD&data[FIELDS][ID]=1%002" + AUTH, "body['data']['FIELDS']['ID']"),
        (b"event=<script>" + AUTH, "body['event']"),
        (b"event[x]=ONCRMDEALADD" + AUTH, "body['event']"),
        (b"x=1" + AUTH, "body['document_id']"),
        (b"document_id[2]=DEAL" + AUTH, "body['document_id'][2]"),
        (b"event=ONCRMDEALADD&data[FIELDS][ID]=1&ts=soon&auth[member_id]=a", "body['ts']"),
    ],
)
def test_a_body_that_bitrix24_never_sends_is_refused_with_its_place(body: bytes, path: str) -> None:
    with pytest.raises(BadWebhook) as caught:
        parse_webhook(body, FORM)
    assert caught.value.path == path


def test_json_is_not_what_bitrix24_sends() -> None:
    with pytest.raises(BadWebhook):
        parse_webhook(b'{"event": "ONCRMDEALADD"}', "application/json")


def test_our_own_robot_names_its_rule_and_no_token_is_kept() -> None:
    [path] = [path for path in hook_files("bitrix24") if path.stem == "robot__rule"]
    body = read_hook(path)
    assert body.events[0].note == "rule: Отправить договор"
    kept = json.dumps(body.payload)
    assert "demo-access-token" not in kept
    assert "demo-event-token" not in kept
    assert "demo-event-token" not in body.events[0].dedup
    other = path.read_bytes().replace(b"properties%5Brule%5D=", b"properties%5Brule%5D=x")
    assert parse_webhook(other, FORM).events[0].dedup != body.events[0].dedup


def test_a_robots_call_is_known_by_its_token_with_and_without_a_moment() -> None:
    [path] = [path for path in hook_files("bitrix24") if path.stem == "robot__rule"]
    whole = path.read_bytes()

    def key(body: bytes) -> str:
        return parse_webhook(body, FORM).events[0].dedup

    without_moment = whole.replace(b"&ts=1764003000", b"")
    assert whole != without_moment
    assert key(without_moment) == key(whole), "the same call, however late it comes again"
    assert key(whole) != key(whole.replace(b"A1_2_3", b"A1_2_4")), "another call within the same second"
    without_token = whole.replace(b"event_token=", b"x=")
    assert key(without_token) == key(without_token)
    assert key(without_token) != key(without_token.replace(b"&ts=1764003000", b"&ts=1764003001"))
