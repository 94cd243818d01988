"""What a webhook says about a change: form bodies with the old v2 names, all leaves strings.

Pure rendering; who hears it and when is `delivery.py`. Source: reference 6.2-6.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.sandbox.amocrm.leads import price_of
from connector.sandbox.amocrm.notes import note_type, params
from connector.sandbox.amocrm.people import full_name, leads_of
from connector.sandbox.amocrm.php import build_query
from connector.sandbox.amocrm.wire import unix
from connector.sandbox.amocrm.world import COLLECTIONS, World
from connector.sandbox.state import Change, Contact, Deal, Note, Task

#: Codes of a subscription. Source: reference 6.2; the last four are in live use but undocumented.
SETTINGS = frozenset(
    {
        f"{action}_{entity}"
        for entity in ("lead", "contact", "company")
        for action in ("add", "update", "delete", "restore", "responsible", "note")
    }
    | {"status_lead"}
    | {f"{action}_customer" for action in ("add", "update", "delete", "responsible", "note")}
    | {f"{action}_task" for action in ("add", "update", "delete", "responsible")}
    | {"add_talk", "update_talk", "add_chat_template_review"}
    | {"add_message", "add_outgoing_message", "add_unsorted"}
    # The hooks exist; these names of theirs are unverified.
    | {"update_unsorted", "delete_unsorted", "add_catalog", "update_catalog", "delete_catalog"}
)

ELEMENT_TYPES = {"contact": 1, "deal": 2, "company": 3}
NOTE_CODES = {
    "common": 4,
    "attachment": 5,
    "call_in": 10,
    "call_out": 11,
    "service_message": 25,
    "extended_service_message": 25,
    "message_cashier": 17,
    "geolocation": 27,
    "sms_in": 102,
    "sms_out": 103,
    "amomail_message": 15,
}
_WORDS = {"deal": "lead", "contact": "contact", "company": "company", "task": "task"}


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell: the subscription code that asks for it, and the change behind it.

    Without a change of the portal the `body` is ready: entity -> action -> items.
    """

    code: str
    change: Change | None = None
    body: Mapping[str, Any] | None = None


def notices(change: Change) -> list[Notice]:
    """What a change means to subscribers; a move is both `status_lead` and `update_lead`."""
    return [Notice(code, change) for code in _codes(change)]


def _codes(change: Change) -> list[str]:
    if change.entity == "note":
        note: Note = change.after
        return [f"note_{_WORDS[note.entity]}"] if change.action == "add" and note.entity in _WORDS else []
    word = _WORDS[change.entity]
    if change.action != "update":
        return [f"{change.action}_{word}"]
    if "is_deleted" in change.fields:
        return [f"restore_{word}"]
    codes = [f"update_{word}"]
    if "responsible_id" in change.fields:
        codes.insert(0, f"responsible_{word}")
    if word == "lead" and {"stage", "pipeline_id"} & set(change.fields):
        codes.insert(0, "status_lead")
    return codes


def form(world: World, notice: Notice) -> bytes:
    """The body of one delivery, account block first unless the switch says last."""
    account = {
        "account": {
            "subdomain": world.subdomain,
            "id": world.account_id,
            "_links": {"self": world.base_url},
        }
    }
    block = notice.body if notice.change is None else _block(world, notice.code, notice.change)
    parts = (block or {}, account) if world.switches.account_block_last else (account, block or {})
    return "&".join(build_query(part) for part in parts).encode()


def trigger_form(world: World, notice: Notice) -> bytes:
    """A digital pipeline's short body: the account comes last, without links; a widget's has it inside.

    Source: reference 6.7.
    """
    if "event" in (notice.body or {}):
        return build_query(notice.body or {}).encode()
    account = {"account": {"id": world.account_id, "subdomain": world.subdomain}}
    return build_query({**(notice.body or {}), **account}).encode()


def _block(world: World, code: str, change: Change) -> dict[str, Any]:
    action = code.split("_", 1)[0]
    key, render = _RENDERERS[change.entity]
    if change.entity == "note":
        key = _note_key(change.after)
    return {key: {action: [render(world, change, action)]}}


def _lead(world: World, change: Change, action: str) -> dict[str, Any]:
    deal: Deal = change.after
    if action == "delete":
        return {"id": deal.id, "status_id": deal.stage, "pipeline_id": deal.pipeline_id}
    before: Deal | None = change.before
    moved = before is not None and (before.stage, before.pipeline_id) != (deal.stage, deal.pipeline_id)
    reassigned = before is not None and before.responsible_id != deal.responsible_id
    return {
        "id": deal.id,
        "name": deal.name,
        "status_id": deal.stage,
        "old_status_id": before.stage if before is not None and moved else None,
        "price": price_of(deal) or None,
        "responsible_user_id": deal.responsible_id,
        "last_modified": unix(deal.updated_at),
        "modified_user_id": deal.updated_by,
        "created_user_id": deal.created_by,
        "date_create": unix(deal.created_at),
        "pipeline_id": deal.pipeline_id,
        "tags": _tags(world, "leads", deal),
        "account_id": world.account_id,
        "custom_fields": world.codec.read_for_hook("leads", deal),
        "old_responsible_user_id": before.responsible_id if before is not None and reassigned else None,
        "created_at": unix(deal.created_at),
        "updated_at": unix(deal.updated_at),
    }


def _person(world: World, change: Change, action: str) -> dict[str, Any]:
    row = change.after
    collection = COLLECTIONS[change.entity]
    if action == "delete":
        return {"id": row.id, "type": change.entity}
    company_id = row.company_id if isinstance(row, Contact) else None
    company = world.portal.companies.get(company_id) if company_id is not None else None
    old = change.before.responsible_id if change.before is not None else None
    return {
        "id": row.id,
        "name": full_name(row),
        "responsible_user_id": row.responsible_id,
        "date_create": unix(row.created_at),
        "last_modified": unix(row.updated_at),
        "created_user_id": world.author(change.entity, row)[0],
        "modified_user_id": change.by,
        "company_name": company.name if company else None,
        "linked_company_id": company.id if company else None,
        "account_id": world.account_id,
        "custom_fields": world.codec.read_for_hook(collection, row),
        "tags": _tags(world, collection, row),
        "linked_leads_id": {i: {"ID": i} for i in leads_of(world, row)},
        # Carried by every update, changed or not (reference 6.4).
        "old_responsible_user_id": old,
        "created_at": unix(row.created_at),
        "updated_at": unix(row.updated_at),
        "type": change.entity,
    }


def _tags(world: World, collection: str, row: Any) -> list[dict[str, Any]]:
    return [{"id": tag["id"], "name": tag["name"]} for tag in world.tag_models(collection, row)]


def _task(world: World, change: Change, action: str) -> dict[str, Any]:
    task: Task = change.after
    if action == "delete":
        return {"id": task.id}
    before: Task | None = change.before
    closed = task.is_done and (before is None or not before.is_done)
    return {
        "id": task.id,
        "element_id": task.entity_id,
        "element_type": ELEMENT_TYPES.get(task.entity or ""),
        "task_type": task.kind,
        "date_create": _local(world, task.created_at),
        "text": task.text,
        "status": int(task.is_done),
        "account_id": world.account_id,
        "created_user_id": task.created_by,
        "last_modified": _local(world, task.updated_at),
        "responsible_user_id": task.responsible_id,
        "complete_till": _local(world, task.due_at),
        "action_close": 1 if closed else None,
        "old_text": before.text if before is not None and before.text != task.text else None,
        "result": {"id": task.id, "text": task.result} if task.result else None,
        "created_at": unix(task.created_at),
        "updated_at": unix(task.updated_at),
        "complete_before": unix(task.due_at),
    }


def _note(world: World, change: Change, action: str) -> dict[str, Any]:
    note: Note = change.after
    kind = note_type(note)
    return {
        "note": {
            "element_type": ELEMENT_TYPES[note.entity],
            "element_id": note.entity_id,
            "note_type": NOTE_CODES.get(kind, 4),
            "text": _note_text(world, note, kind),
            "account_id": world.account_id,
            "date_create": _local(world, note.created_at),
            "timestamp_x": _local(world, note.updated_at),
            "created_by": note.created_by,
            "modified_by": note.created_by,
            "main_user_id": world.note_responsible.get(note.id, note.created_by),
            "group_id": 0,
            "id": note.id,
            "created_at": unix(note.created_at),
            "updated_at": unix(note.updated_at),
            "attachement": note.params.get("file_name") if kind == "attachment" else None,
            "metadata": _event_source(world, note),
        }
    }


def _event_source(world: World, note: Note) -> str:
    """JSON in a string; who made the note. Seen since 2024, the words of `type` are unverified."""
    user = world.user(note.created_by)
    name = " ".join(part for part in (user.name, user.last_name) if part) if user else ""
    source = {"id": note.created_by, "author_name": name, "type": "user" if user else "robot"}
    return json.dumps({"event_source": source}, ensure_ascii=False)


def _note_text(world: World, note: Note, kind: str) -> str:
    given = params(world, note)
    if kind in ("call_in", "call_out"):
        names = {"uniq": "UNIQ", "phone": "PHONE", "duration": "DURATION", "source": "SRC", "link": "LINK"}
        return json.dumps({names[k]: v for k, v in given.items() if k in names}, ensure_ascii=False)
    if kind in ("service_message", "extended_service_message"):
        return json.dumps({k: given.get(k) for k in ("text", "service")}, ensure_ascii=False)
    return str(given.get("text") or "")


def _note_key(note: Note) -> str:
    return "leads" if note.entity == "deal" else "contacts"


def _local(world: World, moment: datetime) -> str:
    return moment.astimezone(ZoneInfo(world.portal.timezone)).strftime("%Y-%m-%d %H:%M:%S")


Renderer = Callable[[World, Change, str], dict[str, Any]]
#: Companies travel under `contacts`, told apart by `type`.
_RENDERERS: dict[str, tuple[str, Renderer]] = {
    "deal": ("leads", _lead),
    "contact": ("contacts", _person),
    "company": ("contacts", _person),
    "task": ("task", _task),
    "note": ("leads", _note),
}
