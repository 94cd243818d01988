"""What a loaded history holds of calls, messages, meetings and invoices, as the portal shows it.

The shared portal keeps them as notes and tasks (`history_load.py`); here they are activities, rows of the
telephony's statistics and smart invoices. They are made when they are asked for first, since a long past has
more of them than most callers want, and made again after a restart; what was written to them is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.smart import INVOICE, SmartItem
from connector.sandbox.history_load import MEETING_CANCELLED
from connector.sandbox.state import Note, Task

DEAL: Final = 2
MEETING, CALL, PROVIDER = 1, 2, 6
IN, OUT = 1, 2

#: `Task.kind` of a meeting in the shared portal: an activity here, and no task.
MEETING_KIND: Final = 2

_CALLS: Final = {"call_in": IN, "call_out": OUT}
_MESSAGES: Final = {"sms_in": IN, "sms_out": OUT}
_STAGES: Final = {"issued": "S", "paid": "P", "cancelled": "D"}


def meet_activities(site: Site) -> None:
    """Put the activities of the past into `site.activities`; those that are there stay as they are."""
    with site.portal.lock:
        if site.met_activities:
            return
        made = {row["ID"]: row for row in _activities(site)}
        site.activities.refill({**made, **site.activities})
        site.met_activities = True


def meet_invoices(site: Site) -> None:
    """Put the invoices of the past into `site.smart.past`; those that were changed stand among the items."""
    with site.portal.lock:
        if site.met_invoices:
            return
        site.smart.past = {
            item.id: item
            for item in _invoices(site)
            if item.id not in site.smart.gone and item.id not in site.smart.items[INVOICE]
        }
        site.portal.reserve_ids(f"smart_{INVOICE}", max(site.smart.past, default=0))
        site.met_invoices = True


def forget(site: Site, activity: dict[str, Any]) -> None:
    """The activity is deleted: let it not come back with the next start."""
    note_id = activity.get("_NOTE")
    if note_id is not None and note_id in site.portal.notes:
        site.portal.delete("note", note_id, by=0)


def communications(site: Site, activity: dict[str, Any]) -> Any:
    """With whom it was; of the past it is looked up, for it would be most of what an activity takes."""
    note = site.portal.notes.get(activity.get("_NOTE") or 0)
    if note is None:
        return activity.get("COMMUNICATIONS")
    phone = {"VALUE": note.params["phone"], "TYPE": "PHONE"}
    return [{**phone, "ENTITY_ID": note.entity_id, "ENTITY_TYPE_ID": DEAL}]


def phone_calls(site: Site, activity_ids: Collection[int] | None) -> Iterator[dict[str, Any]]:
    """What the telephony knows of past calls, of these activities or of all."""
    meet_activities(site)
    found = site.activities.rows() if activity_ids is None else map(site.activities.get, activity_ids)
    for activity in found:
        note = site.portal.notes.get(activity.get("_NOTE") or 0) if activity is not None else None
        if activity is not None and note is not None and note.kind in _CALLS:
            yield {
                "row_id": site.number_of("phone_call", "note", note.id),
                "call_id": note.params["uniq"],
                "user_id": note.created_by,
                "phone": note.params["phone"],
                # The telephony's own numbers are the other way round.
                "kind": 1 if note.kind == "call_out" else 2,
                "started_at": note.created_at,
                "duration_s": note.params["duration"],
                "code": "200" if note.params["answered"] else "304",
                "crm": ("DEAL", note.entity_id),
                "activity_id": activity["ID"],
            }


def _activities(site: Site) -> Iterator[dict[str, Any]]:
    for note in site.portal.notes.rows():
        if note.kind in _CALLS:
            yield _call(site, note)
        elif note.kind in _MESSAGES:
            yield _message(site, note)
    for task in site.portal.tasks.rows():
        if task.kind == MEETING_KIND:
            yield _meeting(site, task)


def _call(site: Site, note: Note) -> dict[str, Any]:
    direction, params = _CALLS[note.kind], note.params
    is_missed = not params["answered"]
    what = "Исходящий" if direction == OUT else "Входящий"
    ended_at = note.created_at + timedelta(seconds=params["duration"])
    return {
        **_note_row(site, note, CALL, ended_at),
        "PROVIDER_ID": "VOXIMPLANT_CALL",
        "PROVIDER_TYPE_ID": "CALL",
        "SUBJECT": f"{what} звонок {params['phone']}",
        "DIRECTION": direction,
        "COMPLETED": "N" if is_missed and direction == IN else "Y",
        "ORIGIN_ID": f"VI_{params['uniq']}",
        "SETTINGS": {"MISSED_CALL": is_missed},
    }


def _message(site: Site, note: Note) -> dict[str, Any]:
    return {
        **_note_row(site, note, PROVIDER, note.created_at),
        "PROVIDER_ID": "CRM_SMS",
        "PROVIDER_TYPE_ID": "SMS",
        "SUBJECT": "SMS",
        "DIRECTION": _MESSAGES[note.kind],
        "COMPLETED": "Y",
    }


def _meeting(site: Site, task: Task) -> dict[str, Any]:
    """One that was held began when it was held; what was agreed stays its deadline."""
    is_held = task.is_done and task.result != MEETING_CANCELLED
    starts_at = task.updated_at if is_held else task.due_at
    number = site.number_of("activity", "task", task.id)
    return {
        **_row(number, task.entity_id, MEETING, task.responsible_id, task.created_at, task.updated_at),
        "PROVIDER_ID": "CRM_MEETING",
        "PROVIDER_TYPE_ID": "MEETING",
        "SUBJECT": task.text,
        "DESCRIPTION": task.result,
        "COMPLETED": "Y" if task.is_done else "N",
        "START_TIME": starts_at,
        "END_TIME": starts_at + timedelta(hours=1),
        "DEADLINE": task.due_at,
        "_TASK": task.id,
    }


def _note_row(site: Site, note: Note, type_id: int, ended_at: datetime) -> dict[str, Any]:
    number = site.number_of("activity", "note", note.id)
    at = note.created_at
    return {
        **_row(number, note.entity_id, type_id, note.created_by, at, at),
        "START_TIME": at,
        "END_TIME": ended_at,
        "DEADLINE": at,
        "_NOTE": note.id,
    }


def _row(
    number: int, deal_id: int | None, type_id: int, user_id: int, created_at: datetime, updated_at: datetime
) -> dict[str, Any]:
    return {
        "ID": number,
        "OWNER_TYPE_ID": DEAL,
        "OWNER_ID": deal_id,
        "TYPE_ID": type_id,
        "DESCRIPTION_TYPE": 1,
        "PRIORITY": 2,
        "RESPONSIBLE_ID": user_id,
        "CREATED": created_at,
        "LAST_UPDATED": updated_at,
        "AUTHOR_ID": user_id,
        "EDITOR_ID": user_id,
        "FILES": [],
        "_TASK": None,
    }


def _invoices(site: Site) -> Iterator[SmartItem]:
    main = next(iter(site.smart.pipelines(INVOICE).values()))
    codes = {stage.code.partition(":")[2]: stage.code for stage in main.stages}
    for note in site.portal.notes.rows():
        said = note.params
        if note.kind != "service_message" or "invoice_id" not in said:
            continue
        paid_at = datetime.fromisoformat(said["paid_at"]) if said["paid_at"] else None
        at, by, changed_at = note.created_at, note.created_by, paid_at or note.created_at
        number = int(said["invoice_id"])
        item = SmartItem(
            number, INVOICE, main.id, codes[_STAGES[said["status"]]], by, by, by, at, changed_at, changed_at
        )
        item.fields = {
            "TITLE": f"Счёт № {number}",
            "ACCOUNT_NUMBER": str(number),
            "OPPORTUNITY": Decimal(said["amount"]),
            "IS_MANUAL_OPPORTUNITY": "Y",
            "CURRENCY_ID": site.portal.currency,
            "ASSIGNED_BY_ID": by,
            "PARENT_ID_2": note.entity_id,
        }
        yield item
