"""Activities: calls, meetings, e-mails. Source: reference section 4.11.

A to-do is a task of the shared portal, anything else a note there; the activity itself is kept here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from connector.sandbox.bitrix24 import files
from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of, selected
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.kinds import find_object
from connector.sandbox.bitrix24.methods.activity_bindings import bindings_of, wanted_bindings
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.past import communications, forget, meet_activities
from connector.sandbox.bitrix24.wire import (
    RestError,
    classic_error,
    is_yes,
    moment,
    not_found,
    parse_int,
    parse_moment,
)
from connector.sandbox.state import Company, Contact, EntityType, Note, Task

TABLE = MethodTable()

MEETING, CALL_TYPE, TASK_TYPE, EMAIL, PROVIDER = 1, 2, 3, 4, 6
OUTGOING = 2

#: `Task.kind` of a to-do, so that `tasks.task.list` leaves it out.
ACTIVITY_KIND: Final = 100

_NOTE_KINDS: Final = {MEETING: "meeting", CALL_TYPE: "call", EMAIL: "mail"}
#: Fields that are in each answer though hardly anybody writes them, with what they are then.
_RARE: Final = {
    "ASSOCIATED_ENTITY_ID": "0",
    "NOTIFY_TYPE": "1",
    "NOTIFY_VALUE": "15",
    "PROVIDER_GROUP_ID": None,
    "RESULT_STATUS": "0",
    "RESULT_STREAM": "0",
    "RESULT_SOURCE_ID": None,
    "RESULT_MARK": "0",
    "RESULT_VALUE": None,
    "RESULT_SUM": None,
    "RESULT_CURRENCY_ID": None,
    "AUTOCOMPLETE_RULE": "0",
}

#: Providers by type: «todo» is `CRM_` and this in capitals.
_PROVIDERS: Final = {MEETING: "meeting", CALL_TYPE: "call", EMAIL: "email", PROVIDER: "todo"}
_INTEGERS: Final = frozenset(
    {"ID", "OWNER_ID", "OWNER_TYPE_ID", "TYPE_ID", "RESPONSIBLE_ID", "DIRECTION", "STATUS"}
)
_TIMES: Final = frozenset({"CREATED", "LAST_UPDATED", "START_TIME", "END_TIME", "DEADLINE"})
ENTITY_TYPES: Final[dict[int, EntityType]] = {2: "deal", 3: "contact", 4: "company"}


def check_owner(call: Call, type_id: int, owner_id: int) -> None:
    if find_object(call.site, type_id, owner_id) is None:
        raise RestError(400, "OWNER_NOT_FOUND", "Owner was not found")


def store_activity(call: Call, values: dict[str, Any], mirror: Task | Note) -> int:
    """Keep the activity and its mirror in the shared portal; tell the handlers."""
    site, now = call.site, call.site.now()
    type_id = values["TYPE_ID"]
    provider = _PROVIDERS.get(type_id, "").upper()
    is_task = isinstance(mirror, Task)
    entity: EntityType = "task" if is_task else "note"
    kept = site.portal.add(entity, mirror, by=call.user_id)
    activity: dict[str, Any] = {
        "ID": site.portal.new_id("activity"),
        "PROVIDER_ID": f"CRM_{provider}" if provider else "",
        "PROVIDER_TYPE_ID": provider,
        "SUBJECT": "",
        "DESCRIPTION": "",
        "DESCRIPTION_TYPE": 1,
        "DIRECTION": 0,
        "PRIORITY": 2,
        "LOCATION": "",
        "COMPLETED": "N",
        "RESPONSIBLE_ID": call.user_id,
        "CREATED": now,
        "LAST_UPDATED": now,
        "START_TIME": now,
        "END_TIME": now,
        "AUTHOR_ID": call.user_id,
        "EDITOR_ID": call.user_id,
        **values,
        "_TASK": kept.id if is_task else None,
    }
    site.activities[activity["ID"]] = activity
    data = {"FIELDS": {"ID": activity["ID"]}}
    site.events.tell(Notice("ONCRMACTIVITYADD", data, call.user_id, system=False))
    number: int = activity["ID"]
    return number


@TABLE.add("crm.activity.add", scope="crm")
def activity_add(call: Call) -> int:
    """An e-mail leaves only with TYPE_ID 4, DIRECTION 2 and COMPLETED Y; else it is just a record."""
    wanted = call.require_map("fields")
    values = _values(call, wanted)
    for name in ("OWNER_TYPE_ID", "OWNER_ID", "TYPE_ID"):
        if not values.get(name):
            raise classic_error(f"The field {name} is required.")
    check_owner(call, values["OWNER_TYPE_ID"], values["OWNER_ID"])
    if values["TYPE_ID"] != PROVIDER and not values.get("COMMUNICATIONS"):
        raise classic_error("The field COMMUNICATIONS is not defined or invalid.")
    due = "END_TIME" if values["TYPE_ID"] == TASK_TYPE else "START_TIME"
    values["DEADLINE"] = values.get(due) or call.site.now()
    values["FILES"] = _attached(call, wanted)
    is_sent = (values["TYPE_ID"], values.get("DIRECTION"), values.get("COMPLETED")) == (EMAIL, OUTGOING, "Y")
    number = store_activity(call, values, note_of(call, values, is_sent=is_sent))
    if is_sent and call.site.switches.fail_emails:
        raise classic_error("Email send error. The message was not sent.")
    return number


def record_call(
    call: Call,
    owner: tuple[int, int],
    subject: str,
    *,
    is_outgoing: bool,
    is_missed: bool,
    user_id: int,
    started_at: datetime,
    ended_at: datetime,
    call_id: str,
    phone: str,
) -> int:
    """The activity that telephony leaves behind a finished call; its id."""
    type_id, owner_id = owner
    check_owner(call, type_id, owner_id)
    values: dict[str, Any] = {
        "OWNER_TYPE_ID": type_id,
        "OWNER_ID": owner_id,
        "TYPE_ID": CALL_TYPE,
        "PROVIDER_ID": "VOXIMPLANT_CALL",
        "PROVIDER_TYPE_ID": "CALL",
        "SUBJECT": subject,
        "DIRECTION": OUTGOING if is_outgoing else 1,
        "COMPLETED": "N" if is_missed and not is_outgoing else "Y",
        "RESPONSIBLE_ID": user_id,
        "START_TIME": started_at,
        "END_TIME": ended_at,
        "DEADLINE": started_at,
        "ORIGIN_ID": f"VI_{call_id}",
        "COMMUNICATIONS": [
            {"VALUE": phone, "ENTITY_ID": owner_id, "ENTITY_TYPE_ID": type_id, "TYPE": "PHONE"}
        ],
        "SETTINGS": {"MISSED_CALL": is_missed},
        "FILES": [],
    }
    return store_activity(call, values, note_of(call, values, is_sent=False))


def _attached(call: Call, wanted: dict[str, Any]) -> list[int]:
    pairs = [as_map(item).get("fileData", item) for item in as_list(wanted.get("FILES"))]
    return [file.id for pair in pairs for file in files.store_pairs(call.site, [pair])]


def note_of(call: Call, values: dict[str, Any], *, is_sent: bool) -> Note:
    now = call.site.now()
    kind = _NOTE_KINDS.get(values["TYPE_ID"], "activity")
    text = f"{values.get('SUBJECT') or ''}\n{values.get('DESCRIPTION') or ''}".strip()
    owner = ENTITY_TYPES.get(values["OWNER_TYPE_ID"], "deal")
    params = {"is_sent": is_sent, "direction": values.get("DIRECTION", 0)}
    return Note(0, owner, values["OWNER_ID"], kind, text, call.user_id, now, now, values["FILES"], params)


def _values(call: Call, wanted: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in wanted.items():
        if name in _INTEGERS:
            values[name] = parse_int(value) or 0
        elif name in _TIMES:
            values[name] = parse_moment(value, call.site.zone)
        elif name == "COMPLETED":
            values[name] = "Y" if is_yes(value) else "N"
        else:
            values[name] = value
    values.pop("ID", None)
    return values


@TABLE.add("crm.activity.get", scope="crm")
def activity_get(call: Call) -> dict[str, Any]:
    return _present(call, found_activity(call), set())


@TABLE.add("crm.activity.list", scope="crm")
def activity_list(call: Call) -> Page:
    """COMMUNICATIONS and FILES come only when named in `select`."""
    names = selected(call)
    meet_activities(call.site)
    with call.site.portal.lock:
        rows = call.site.activities.rows()

    def present(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        items = [_present(call, row, set(names)) for row in page]
        if not names or "*" in names:
            return items
        return [{key: value for key, value in item.items() if key in {"ID", *names}} for item in items]

    def find(name: str) -> Column:
        kind = "integer" if name in _INTEGERS else "datetime" if name in _TIMES else "string"
        return Column(kind, lambda row: _cell(call, row, name))

    wanted = wanted_bindings(call.params.get("filter"))
    if wanted is not None:
        rows = [row for row in rows if not wanted.isdisjoint(bindings_of(row))]
    columns = Columns(
        lambda name: None if name == "BINDINGS" else find(name), strict=False, zone=call.site.zone
    )
    return page_of(call, rows, columns, present, ascending_by="ID")


@TABLE.add("crm.activity.update", scope="crm")
def activity_update(call: Call) -> bool:
    change_activity(call, found_activity(call), _values(call, call.require_map("fields")))
    return True


@TABLE.add("crm.activity.delete", scope="crm")
def activity_delete(call: Call) -> bool:
    activity = found_activity(call)
    del call.site.activities[activity["ID"]]
    forget(call.site, activity)
    if activity["_TASK"]:
        call.site.portal.delete("task", activity["_TASK"], by=call.user_id)
    data = {"FIELDS": {"ID": activity["ID"]}}
    call.site.events.tell(Notice("ONCRMACTIVITYDELETE", data, call.user_id, system=False))
    return True


def found_activity(call: Call) -> dict[str, Any]:
    meet_activities(call.site)
    activity = call.site.activities.get(call.id())
    if activity is None:
        raise not_found()
    return activity


def change_activity(call: Call, activity: dict[str, Any], values: dict[str, Any]) -> None:
    if all(activity.get(name) == value for name, value in values.items()):
        return
    activity |= {**values, "LAST_UPDATED": call.site.now(), "EDITOR_ID": call.user_id}
    call.site.activities.touch(activity["ID"])
    if activity["_TASK"]:
        changes: dict[str, Any] = {}
        if "COMPLETED" in values:
            changes["is_done"] = values["COMPLETED"] == "Y"
        if values.get("DEADLINE"):
            changes["due_at"] = values["DEADLINE"]
        if "SUBJECT" in values:
            changes["text"] = values["SUBJECT"]
        if "DESCRIPTION" in values:
            changes["description"] = values["DESCRIPTION"]
        if "RESPONSIBLE_ID" in values:
            changes["responsible_id"] = values["RESPONSIBLE_ID"]
        call.site.portal.update("task", activity["_TASK"], changes, by=call.user_id)
    data = {"FIELDS": {"ID": activity["ID"]}}
    call.site.events.tell(Notice("ONCRMACTIVITYUPDATE", data, call.user_id, system=False))


def _cell(call: Call, activity: dict[str, Any], name: str) -> Any:
    """One value; whether a to-do is done, and till when it is due, the shared task knows (board, API)."""
    task = call.site.portal.tasks.get(activity["_TASK"] or 0)
    if task is not None and name in {"COMPLETED", "STATUS"}:
        return ("Y" if task.is_done else "N") if name == "COMPLETED" else 2 if task.is_done else 1
    if task is not None and name == "DEADLINE":
        return task.due_at
    if name == "STATUS":
        return 2 if activity["COMPLETED"] == "Y" else 1
    return activity.get(name)


_TYPES_OF_ADDRESS: Final = {CALL_TYPE: "PHONE", EMAIL: "EMAIL"}


def _communication(call: Call, activity: dict[str, Any], place: int, given: dict[str, Any]) -> dict[str, Any]:
    """Whom an activity was with; names and company are those of today."""
    type_id, owner_id = parse_int(given.get("ENTITY_TYPE_ID")) or 0, parse_int(given.get("ENTITY_ID")) or 0
    found = find_object(call.site, type_id, owner_id)
    settings: dict[str, Any] = {}
    if isinstance(found, Contact):
        company = call.site.portal.companies.get(found.company_id or 0)
        settings = {
            "HONORIFIC": str(found.fields.get("HONORIFIC") or ""),
            "NAME": found.name,
            "SECOND_NAME": found.second_name,
            "LAST_NAME": found.last_name,
            "COMPANY_TITLE": company.name if company else "",
            "COMPANY_ID": str(found.company_id or ""),
        }
    elif isinstance(found, Company):
        settings = {"COMPANY_TITLE": found.name}
    number = call.site.number_of("communication", activity["ID"], place, start=23)
    return {
        "ID": str(number),
        "TYPE": str(given.get("TYPE") or _TYPES_OF_ADDRESS.get(activity["TYPE_ID"], "")),
        "VALUE": str(given.get("VALUE") or ""),
        "ENTITY_ID": str(owner_id),
        "ENTITY_TYPE_ID": str(type_id),
        "ENTITY_SETTINGS": settings,
    }


def _present(call: Call, activity: dict[str, Any], names: set[str]) -> dict[str, Any]:
    zone = call.site.zone
    row: dict[str, Any] = {}
    for name in [
        "ID",
        "OWNER_ID",
        "OWNER_TYPE_ID",
        "TYPE_ID",
        "PROVIDER_ID",
        "PROVIDER_TYPE_ID",
        "SUBJECT",
        "CREATED",
        "LAST_UPDATED",
        "START_TIME",
        "END_TIME",
        "DEADLINE",
        "COMPLETED",
        "STATUS",
        "RESPONSIBLE_ID",
        "PRIORITY",
        "DESCRIPTION",
        "DESCRIPTION_TYPE",
        "DIRECTION",
        "LOCATION",
        "ORIGINATOR_ID",
        "ORIGIN_ID",
        "AUTHOR_ID",
        "EDITOR_ID",
    ]:
        value = _cell(call, activity, name)
        row[name] = moment(value, zone) if name in _TIMES and value else None if value is None else str(value)
    row |= {name: activity.get(name, empty) for name, empty in _RARE.items()}
    row |= {"SETTINGS": activity.get("SETTINGS") or {}, "PROVIDER_PARAMS": {}, "PROVIDER_DATA": None}
    if "COMMUNICATIONS" in names:
        row["COMMUNICATIONS"] = [
            _communication(call, activity, place, as_map(given))
            for place, given in enumerate(as_list(communications(call.site, activity)))
        ]
    if "FILES" in names:
        stored = [call.site.portal.files[number] for number in activity.get("FILES") or []]
        row["FILES"] = [{"id": file.id, "url": files.timeline_url(call.site, file)} for file in stored]
    return row
