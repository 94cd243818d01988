"""One delivery of Bitrix24 -> events. Pure; knows outgoing webhooks, application events and the robot
«Исходящий вебхук», and must not call anything.

A notice names an object and nothing else: the stage is not in it, so the deal has to be read back. Bitrix24
does not repeat a lost delivery. Source: Bitrix24 REST docs, pages «События» and «Безопасность обработчиков».
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable

from connector.crm.base import WebhookBody
from connector.crm.form import plain, read_form
from connector.crm.wild import Malformed, Wild
from connector.domain import CALL_KEY, RULE_ASKED, CrmEvent, EventKind
from connector.errors import BadWebhook

#: Application events carry working tokens; none of them may reach the store or the log.
SECRET_NAMES = frozenset(
    {
        "access_token",
        "refresh_token",
        "application_token",
        "auth_id",
        "refresh_id",
        "event_token",
        "client_secret",
        "expires",
        "expires_in",
    }
)

Handler = Callable[[Wild], tuple[EventKind, str]]


def _about(kind: EventKind) -> Handler:
    """A handler for the bodies whose whole content is `data[FIELDS][ID]`."""

    def read(data: Wild) -> tuple[EventKind, str]:
        return kind, data["FIELDS"]["ID"].id()

    return read


def _deleted_activity(data: Wild) -> tuple[EventKind, str]:
    """Whether it was a to-do or another activity is told by our own memory alone."""
    number = data["FIELDS"]["ID"].id()
    return EventKind.ACTIVITY_DELETED, f"activity:{number} todo:{number}"


def _task(kind: EventKind, part: str) -> Handler:
    """A handler for tasks: `data[FIELDS_AFTER][ID]`, and only «before» of a deleted one."""

    def read(data: Wild) -> tuple[EventKind, str]:
        return kind, data[part]["ID"].id()

    return read


HANDLERS: dict[str, Handler] = {
    "ONCRMDEALADD": _about(EventKind.DEAL_ADDED),
    # A move inside a pipeline comes as a plain update, …
    "ONCRMDEALUPDATE": _about(EventKind.DEAL_CHANGED),
    # … a move to another pipeline as this one only, and never through an outgoing webhook.
    "ONCRMDEALMOVETOCATEGORY": _about(EventKind.DEAL_STAGE_CHANGED),
    "ONCRMDEALDELETE": _about(EventKind.DEAL_DELETED),
    "ONCRMCONTACTADD": _about(EventKind.CONTACT_CHANGED),
    "ONCRMCONTACTUPDATE": _about(EventKind.CONTACT_CHANGED),
    "ONCRMCONTACTDELETE": _about(EventKind.CONTACT_CHANGED),
    "ONCRMCOMPANYADD": _about(EventKind.COMPANY_CHANGED),
    "ONCRMCOMPANYUPDATE": _about(EventKind.COMPANY_CHANGED),
    "ONCRMCOMPANYDELETE": _about(EventKind.COMPANY_CHANGED),
    "ONCRMACTIVITYADD": _about(EventKind.ACTIVITY_CHANGED),
    "ONCRMACTIVITYUPDATE": _about(EventKind.ACTIVITY_CHANGED),
    "ONCRMACTIVITYDELETE": _deleted_activity,
    "ONTASKADD": _task(EventKind.ACTIVITY_CHANGED, "FIELDS_AFTER"),
    "ONTASKUPDATE": _task(EventKind.ACTIVITY_CHANGED, "FIELDS_AFTER"),
    "ONTASKDELETE": _task(EventKind.ACTIVITY_DELETED, "FIELDS_BEFORE"),
}

SUPPORTED = sorted(HANDLERS)

#: Our own robot, whose call names a rule; `automation.py` puts it into the portal.
ROBOT = "connector_rule"
RULE_CHARS = 200

#: Robots name the object in words: DEAL_57.
DOCUMENTS: dict[str, EventKind] = {
    "DEAL": EventKind.DEAL_CHANGED,
    "CONTACT": EventKind.CONTACT_CHANGED,
    "COMPANY": EventKind.COMPANY_CHANGED,
}


def parse_webhook(body: bytes, content_type: str) -> WebhookBody:
    """The event of one delivery and the application token it carries; `BadWebhook` when the body is not
    Bitrix24's.

    What Bitrix24 is known to send and we do not use comes out as kind OTHER, with a remark.
    """
    root = read_form(body, content_type)
    try:
        auth = root["auth"]
        member_id = auth["member_id"].text()
        if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", member_id):
            raise Malformed(auth["member_id"].path, "is not a portal's id")
        event = _robot(root, member_id) if root.get("event") is None else _event(root, member_id)
    except Malformed as error:
        raise BadWebhook(error.path, error.reason) from None
    payload = plain(root.value, SECRET_NAMES)
    assert isinstance(payload, dict)
    return WebhookBody((event,), member_id, auth.text_at("application_token"), payload)


def _event(root: Wild, member_id: str) -> CrmEvent:
    name = root["event"].text().upper()
    if not re.fullmatch(r"ON[A-Z0-9_]{1,80}", name):
        raise Malformed(root["event"].path, "is not an event of Bitrix24")
    data = root.get("data") or Wild({}, "body['data']")
    handler = HANDLERS.get(name)
    kind, entity_id, note = EventKind.OTHER, _some_id(data), f"unsupported {name}"
    if handler is not None:
        (kind, entity_id), note = handler(data), ""
    sent_at = root.get("ts")
    return CrmEvent(
        kind,
        entity_id,
        _dedup(member_id, name, data, root),
        sent_at.unix() if sent_at is not None else None,
        note,
    )


def _robot(root: Wild, member_id: str) -> CrmEvent:
    document = root["document_id"]
    match = re.fullmatch(r"([A-Z0-9_]{1,40})_([0-9]{1,20})", document[2].text())
    if match is None:
        raise Malformed(document[2].path, "is not a document of the CRM")
    kind = DOCUMENTS.get(match.group(1), EventKind.OTHER)
    note = f"unsupported document {match.group(1)}" if kind is EventKind.OTHER else _rule_of(root)
    sent_at = root.get("ts")
    return CrmEvent(
        kind,
        match.group(2),
        _call_key(member_id, document, root),
        sent_at.unix() if sent_at is not None else None,
        note,
    )


def _call_key(member_id: str, document: Wild, root: Wild) -> str:
    """Each run of a robot has a token of its own, by which a call is known whenever it comes; its digest
    tells nothing of it. Without one the second of sending has to do.

    Two robots may call about one deal within a second, each with a rule of its own.
    """
    token = root.text_at("event_token")
    said = Wild({"document": document.value, "rule": _rule_of(root)})
    if not token:
        return _dedup(member_id, "robot", said, root)
    whole = json.dumps([member_id, plain(said.value, SECRET_NAMES), token], sort_keys=True)
    return f"{CALL_KEY}bitrix24:{hashlib.sha256(whole.encode()).hexdigest()}"


def _rule_of(root: Wild) -> str:
    """«rule: …» with the name that our own robot was given; «» for any other robot."""
    properties = root.get("properties") or Wild({})
    rule = properties.text_at("rule") if root.text_at("code") == ROBOT else ""
    return f"{RULE_ASKED}{rule[:RULE_CHARS]}" if rule else ""


def _some_id(data: Wild) -> str:
    """The id of something we do not use, if it has one; only for the record."""
    fields = data.get("FIELDS") or data.get("FIELDS_AFTER") or data
    try:
        return fields.id_at("ID") or ""
    except Malformed:
        return ""


def _dedup(member_id: str, name: str, data: Wild, root: Wild) -> str:
    """Equal for equal notices. There is no event id; `ts` is the second in which the queue sent the notice,
    so two changes within it look the same. The tokens are no part of it: they differ from call to call."""
    said = json.dumps([member_id, name, plain(data.value, SECRET_NAMES), root.text_at("ts")], sort_keys=True)
    return "bitrix24:" + hashlib.sha256(said.encode()).hexdigest()
