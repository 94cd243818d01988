"""`crm.activity.configurable.*`: activities with a card of the application's own.

Source: reference section 4.11.
"""

from __future__ import annotations

from typing import Any

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.methods.activities import (
    PROVIDER,
    change_activity,
    check_owner,
    found_activity,
    note_of,
    store_activity,
)
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.wire import (
    RestError,
    is_yes,
    missing_parameter,
    moment,
    parse_int,
    parse_moment,
)

TABLE = MethodTable()

_CONFIGURABLE = "CONFIGURABLE_REST_APP"


@TABLE.add("crm.activity.configurable.add", scope="crm", app_only="ACCESS_DENIED", any_case=False)
def configurable_add(call: Call) -> dict[str, Any]:
    owner_type, owner_id = (
        parse_int(call.require("ownerTypeId")) or 0,
        parse_int(call.require("ownerId")) or 0,
    )
    check_owner(call, owner_type, owner_id)
    fields, layout = as_map(call.params.get("fields")), call.require_map("layout")
    if not layout.get("header"):
        raise missing_parameter("layout.header")
    values: dict[str, Any] = {
        "OWNER_TYPE_ID": owner_type,
        "OWNER_ID": owner_id,
        "TYPE_ID": PROVIDER,
        "PROVIDER_ID": _CONFIGURABLE,
        "PROVIDER_TYPE_ID": str(fields.get("typeId") or "CONFIGURABLE"),
        "SUBJECT": str(as_map(layout.get("header")).get("title") or ""),
        "FILES": [],
        **_values(call, fields),
    }
    number = store_activity(call, values, note_of(call, values, is_sent=False))
    call.site.activities[number]["LAYOUT"] = layout
    return {"activity": _shown(call, call.site.activities[number])}


def _values(call: Call, fields: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "completed" in fields:
        values["COMPLETED"] = "Y" if is_yes(fields["completed"]) else "N"
    if "deadline" in fields:
        values["DEADLINE"] = parse_moment(fields["deadline"] or "", call.site.zone)
    if "responsibleId" in fields:
        values["RESPONSIBLE_ID"] = parse_int(fields["responsibleId"]) or call.user_id
    for name, field in (("originatorId", "ORIGINATOR_ID"), ("originId", "ORIGIN_ID")):
        if name in fields:
            values[field] = str(fields[name])
    return values


def _configurable(call: Call) -> dict[str, Any]:
    activity = found_activity(call)
    if activity["PROVIDER_ID"] != _CONFIGURABLE:
        raise RestError(400, "NOT_FOUND", "Not found")
    return activity


@TABLE.add("crm.activity.configurable.get", scope="crm", app_only="ACCESS_DENIED", any_case=False)
def configurable_get(call: Call) -> dict[str, Any]:
    return {"activity": _shown(call, _configurable(call))}


@TABLE.add("crm.activity.configurable.update", scope="crm", app_only="ACCESS_DENIED", any_case=False)
def configurable_update(call: Call) -> dict[str, Any]:
    activity = _configurable(call)
    change_activity(call, activity, _values(call, as_map(call.params.get("fields"))))
    if call.params.get("layout") is not None:
        activity["LAYOUT"] = call.require_map("layout")
    return {"activity": _shown(call, activity)}


def _shown(call: Call, activity: dict[str, Any]) -> dict[str, Any]:
    deadline = activity.get("DEADLINE")
    return {
        "id": activity["ID"],
        "ownerTypeId": activity["OWNER_TYPE_ID"],
        "ownerId": activity["OWNER_ID"],
        "fields": {
            "typeId": activity["PROVIDER_TYPE_ID"],
            "completed": activity["COMPLETED"] == "Y",
            "deadline": moment(deadline, call.site.zone) if deadline else None,
            "responsibleId": activity["RESPONSIBLE_ID"],
            "originatorId": activity.get("ORIGINATOR_ID"),
            "originId": activity.get("ORIGIN_ID"),
        },
        "layout": activity.get("LAYOUT", {}),
    }
