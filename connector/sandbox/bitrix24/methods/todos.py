"""`crm.activity.todo.*`: to-dos, the universal activity of the timeline. Source: reference section 4.11."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.methods.activities import (
    ACTIVITY_KIND,
    ENTITY_TYPES,
    PROVIDER,
    change_activity,
    check_owner,
    found_activity,
    store_activity,
)
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.wire import RestError, parse_int, parse_moment
from connector.sandbox.state import Task

TABLE = MethodTable()


def _todo(call: Call) -> dict[str, Any]:
    """The to-do; the newer methods name its owner too and mean it."""
    activity = found_activity(call)
    for name, field in (("ownerTypeId", "OWNER_TYPE_ID"), ("ownerId", "OWNER_ID")):
        if call.params.get(name) is not None and parse_int(call.params[name]) != activity[field]:
            raise RestError(400, "OWNER_NOT_FOUND", "Owner was not found")
    if activity["PROVIDER_ID"] != "CRM_TODO":
        raise RestError(400, "NOT_FOUND", "Not found")
    return activity


def _deadline(call: Call, name: str) -> datetime:
    deadline = parse_moment(call.require(name), call.site.zone)
    if deadline is None:
        raise RestError(400, "WRONG_DATETIME_FORMAT", "Incorrect datetime format")
    return deadline


@TABLE.add("crm.activity.todo.add", scope="crm")
def todo_add(call: Call) -> dict[str, int]:
    owner_type, owner_id = (
        parse_int(call.require("ownerTypeId")) or 0,
        parse_int(call.require("ownerId")) or 0,
    )
    check_owner(call, owner_type, owner_id)
    deadline = _deadline(call, "deadline")
    responsible = parse_int(call.params.get("responsibleId")) or call.user_id
    title, description = str(call.params.get("title") or ""), str(call.params.get("description") or "")
    now = call.site.now()
    entity = ENTITY_TYPES.get(owner_type)
    text = title or description or "Дело"
    mirror = Task(
        0, text, responsible, deadline, entity, owner_id, call.user_id, now, now, kind=ACTIVITY_KIND
    )
    mirror.description = description
    values = {
        "OWNER_TYPE_ID": owner_type,
        "OWNER_ID": owner_id,
        "TYPE_ID": PROVIDER,
        "SUBJECT": title,
        "DESCRIPTION": description,
        "RESPONSIBLE_ID": responsible,
        "START_TIME": deadline,
        "END_TIME": deadline,
        "DEADLINE": deadline,
        "SETTINGS": _settings(call),
    }
    return {"id": store_activity(call, values, mirror)}


def _settings(call: Call) -> dict[str, Any]:
    """Reminders in minutes before, and the colour of the card, «1» to «7»."""
    offsets = [
        minutes for minutes in map(parse_int, as_list(call.params.get("pingOffsets"))) if minutes is not None
    ]
    color = str(call.params.get("colorId") or "")
    if color and color not in {"1", "2", "3", "4", "5", "6", "7"}:
        raise RestError(400, "INVALID_ARG_VALUE", "Unknown colorId")
    settings: dict[str, Any] = {"PING_OFFSETS": offsets} if offsets else {}
    return settings | ({"COLOR": color} if color else {})


@TABLE.add("crm.activity.todo.updatedeadline", scope="crm")
def todo_deadline(call: Call) -> dict[str, int]:
    activity, deadline = _todo(call), _deadline(call, "value")
    change_activity(call, activity, {"DEADLINE": deadline, "START_TIME": deadline, "END_TIME": deadline})
    return {"id": activity["ID"]}


@TABLE.add("crm.activity.todo.update", scope="crm")
def todo_update(call: Call) -> dict[str, int]:
    activity = _todo(call)
    values: dict[str, Any] = {}
    if "deadline" in call.params:
        deadline = _deadline(call, "deadline")
        values |= {"DEADLINE": deadline, "START_TIME": deadline, "END_TIME": deadline}
    if "title" in call.params:
        values["SUBJECT"] = str(call.params["title"] or "")
    if "description" in call.params:
        values["DESCRIPTION"] = str(call.params["description"] or "")
    if "responsibleId" in call.params:
        values["RESPONSIBLE_ID"] = parse_int(call.params["responsibleId"]) or activity["RESPONSIBLE_ID"]
    if settings := _settings(call):
        values["SETTINGS"] = {**(activity.get("SETTINGS") or {}), **settings}
    change_activity(call, activity, values)
    return {"id": activity["ID"]}


@TABLE.add("crm.activity.todo.updatedescription", scope="crm")
def todo_description(call: Call) -> dict[str, int]:
    activity = _todo(call)
    change_activity(call, activity, {"DESCRIPTION": str(call.require("value"))})
    return {"id": activity["ID"]}


@TABLE.add("crm.activity.todo.updateresponsibleuser", scope="crm")
def todo_responsible(call: Call) -> dict[str, int]:
    activity = _todo(call)
    user_id = parse_int(call.require("responsibleId")) or 0
    if user_id not in call.site.portal.users:
        raise RestError(400, "ACCESS_DENIED", "Access denied")
    change_activity(call, activity, {"RESPONSIBLE_ID": user_id})
    return {"id": activity["ID"]}


@TABLE.add("crm.activity.todo.updatecolor", scope="crm")
def todo_color(call: Call) -> dict[str, int]:
    activity = _todo(call)
    color = str(call.require("colorId"))
    change_activity(call, activity, {"SETTINGS": {**(activity.get("SETTINGS") or {}), "COLOR": color}})
    return {"id": activity["ID"]}
