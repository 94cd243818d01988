"""One delivery of amoCRM -> events. Pure; knows forms and names of the account's own webhooks and of the
digital pipeline's, and must not call anything.

A notice is a hint: amoCRM sends it late, twice, out of order or not at all, and signs nothing.
Source: amoCRM developers' docs, pages «Вебхуки» and «Digital pipeline»; field names as captured in 2023-2026.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime

from connector.crm.base import WebhookBody
from connector.crm.form import plain, read_form_or_json
from connector.crm.wild import Malformed, Wild
from connector.domain import CrmEvent, EventKind
from connector.errors import BadWebhook

#: What an item of a body is about: its kind, the id of the deal, contact or company, and a remark.
Meaning = tuple[EventKind, str, str]
Handler = Callable[[Wild], Meaning]


def deal_added(item: Wild) -> Meaning:
    return EventKind.DEAL_ADDED, item["id"].id(), ""


def deal_changed(item: Wild) -> Meaning:
    """An update that names another old stage is a move: it comes beside or instead of the status notice."""
    old, new = item.text_at("old_status_id"), item.text_at("status_id")
    moved = bool(old) and old != new
    return (EventKind.DEAL_STAGE_CHANGED if moved else EventKind.DEAL_CHANGED), item["id"].id(), ""


def deal_moved(item: Wild) -> Meaning:
    return EventKind.DEAL_STAGE_CHANGED, item["id"].id(), ""


def deal_deleted(item: Wild) -> Meaning:
    return EventKind.DEAL_DELETED, item["id"].id(), ""


def noted(item: Wild) -> Meaning:
    """A call, a letter or a note of a deal or a client: no change of theirs; nested one level deeper."""
    note = item.get("note")
    return EventKind.ACTIVITY_CHANGED, (note.id_at("element_id") if note is not None else None) or "", ""


def task_changed(item: Wild) -> Meaning:
    return EventKind.ACTIVITY_CHANGED, item["id"].id(), ""


def task_deleted(item: Wild) -> Meaning:
    """Whether it was a meeting or another task is told by our own memory alone."""
    number = item["id"].id()
    return EventKind.ACTIVITY_DELETED, f"{number} task:{number}", ""


def talked(item: Wild) -> Meaning:
    return EventKind.ACTIVITY_CHANGED, _some_id(item), ""


def contact_changed(item: Wild) -> Meaning:
    """Contacts and companies come under one key and differ by `type`."""
    is_company = item.text_at("type") == "company"
    return (EventKind.COMPANY_CHANGED if is_company else EventKind.CONTACT_CHANGED), item["id"].id(), ""


def company_changed(item: Wild) -> Meaning:
    return EventKind.COMPANY_CHANGED, item["id"].id(), ""


HANDLERS: dict[tuple[str, str], Handler] = {
    ("leads", "add"): deal_added,
    ("leads", "update"): deal_changed,
    ("leads", "status"): deal_moved,
    ("leads", "responsible"): deal_changed,
    ("leads", "restore"): deal_changed,
    ("leads", "delete"): deal_deleted,
    ("leads", "note"): noted,
    ("contacts", "add"): contact_changed,
    ("contacts", "update"): contact_changed,
    ("contacts", "responsible"): contact_changed,
    ("contacts", "restore"): contact_changed,
    ("contacts", "delete"): contact_changed,
    ("contacts", "note"): noted,
    ("companies", "add"): company_changed,
    ("companies", "update"): company_changed,
    ("companies", "responsible"): company_changed,
    ("companies", "restore"): company_changed,
    ("companies", "delete"): company_changed,
    ("companies", "note"): noted,
    ("task", "add"): task_changed,
    ("task", "update"): task_changed,
    ("task", "responsible"): task_changed,
    ("task", "delete"): task_deleted,
    ("talk", "add"): talked,
    ("talk", "update"): talked,
    ("message", "add"): talked,
}

#: Widget triggers of the digital pipeline, by `event.type_code`.
TRIGGERS: dict[str, Handler] = {
    "lead_added": deal_added,
    "lead_status_changed": deal_moved,
    "lead_appeared_in_status": deal_moved,
}

SUPPORTED = sorted(HANDLERS)


def parse_webhook(body: bytes, content_type: str) -> WebhookBody:
    """The events of one delivery; `BadWebhook` when the body is not amoCRM's.

    What amoCRM is known to send and we do not use comes out as kind OTHER, with a remark.
    """
    root = read_form_or_json(body, content_type)
    try:
        account_id, events = _read(root)
    except Malformed as error:
        raise BadWebhook(error.path, error.reason) from None
    payload = plain(root.value)
    assert isinstance(payload, dict)
    return WebhookBody(tuple(events), account_id, "", payload)


def _read(root: Wild) -> tuple[str, list[CrmEvent]]:
    if root.get("event") is not None and root.get("account_id") is not None:
        account_id = root["account_id"].id()
        return account_id, [_trigger(root, account_id)]
    account = root.get("account")
    if account is None or not account.is_map:
        raise Malformed("body['account']", "is missing: not from amoCRM")
    account["subdomain"].text()
    items = list(_items(root))
    account_id = account.id_at("id") or next(
        (found for _, _, item in items if (found := item.id_at("account_id"))), ""
    )
    if not items:
        raise Malformed("body", "names no event beside the account")
    return account_id, [_event(account_id, entity, action, item) for entity, action, item in items]


def _items(root: Wild) -> Iterator[tuple[str, str, Wild]]:
    for entity in root.names():
        part = root[entity]
        if entity == "account":
            continue
        if not part.is_map:
            raise Malformed(part.path, "is not a map")
        for action in part.names():
            for item in part[action].each():
                inner = item.get(0)
                # Task bodies of older docs nest once more: task[update][0][0][id].
                yield entity, action, inner if inner is not None and inner.is_map else item


def _event(account_id: str, entity: str, action: str, item: Wild) -> CrmEvent:
    handler = HANDLERS.get((entity, action))
    if handler is None:
        kind, entity_id = EventKind.OTHER, _some_id(item)
        note = f"unsupported {entity[:60]}.{action[:60]}"
    else:
        kind, entity_id, note = handler(item)
    at = _moment(item) or _moment(item.get("note"))
    return CrmEvent(kind, entity_id, _dedup(account_id, entity, action, item), at, note)


def _trigger(root: Wild, account_id: str) -> CrmEvent:
    event = root["event"]
    code = event["type_code"].text()[:60]
    data = event["data"]
    handler = TRIGGERS.get(code)
    if handler is None:
        kind, entity_id, note = EventKind.OTHER, _some_id(data), f"unsupported trigger {code}"
    else:
        kind, entity_id, note = handler(data)
    time = event.get("time")
    return CrmEvent(
        kind, entity_id, _dedup(account_id, "event", code, event), time.unix() if time else None, note
    )


def _some_id(item: Wild) -> str:
    """The id of something we do not use, if it has one of ours; only for the record."""
    try:
        return item.id_at("id") or ""
    except Malformed:
        return ""


def _moment(item: Wild | None) -> datetime | None:
    """When the thing changed; companies and deals write it as `last_modified` too. Tasks write local texts
    there, which say nothing without the account's zone."""
    if item is None:
        return None
    for name in ("updated_at", "last_modified", "created_at"):
        part = item.get(name)
        if part is not None:
            try:
                return part.unix()
            except Malformed:
                continue
    return None


def _dedup(account_id: str, entity: str, action: str, item: Wild) -> str:
    """Equal for equal notices. amoCRM gives no event id, so it is a digest of what the notice says; the time
    of change is a part of that. Short digital pipeline bodies carry no time: two equal moves look the same.
    """
    said = json.dumps([account_id, entity, action, item.value], ensure_ascii=True, sort_keys=True)
    return "amocrm:" + hashlib.sha256(said.encode()).hexdigest()
