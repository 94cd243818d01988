"""What an activity is bound to beside its owner. Source: documentation pages «crm.activity.binding.*».

The owner is the first binding and cannot be taken away as long as it is the last.
"""

from __future__ import annotations

from typing import Any

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.past import meet_activities
from connector.sandbox.bitrix24.wire import RestError, item_not_found, missing_parameter, parse_int

TABLE = MethodTable()

Binding = tuple[int, int]


def bindings_of(activity: dict[str, Any]) -> list[Binding]:
    """Entity type and id of all that the activity is bound to, the owner first."""
    owner: Binding = (activity["OWNER_TYPE_ID"], activity["OWNER_ID"])
    more: list[Binding] = activity.get("_BINDINGS", [])
    return list(dict.fromkeys([owner, *more]))


def wanted_bindings(filter_: Any) -> set[Binding] | None:
    """What a filter on BINDINGS asks for: `[{OWNER_TYPE_ID, OWNER_ID}]`; None without one."""
    for name, value in as_map(filter_).items():
        if str(name).lstrip("=@") == "BINDINGS":
            pairs = [as_map(item) for item in as_list(value)]
            return {
                (parse_int(pair.get("OWNER_TYPE_ID")) or 0, parse_int(pair.get("OWNER_ID")) or 0)
                for pair in pairs
            }
    return None


def _activity(call: Call) -> dict[str, Any]:
    if call.params.get("activityId") is None:
        raise missing_parameter("activityId")
    meet_activities(call.site)
    activity = call.site.activities.get(parse_int(call.params["activityId"]) or 0)
    if activity is None:
        raise item_not_found()
    return activity


def _binding(call: Call) -> Binding:
    return parse_int(call.require("entityTypeId")) or 0, parse_int(call.require("entityId")) or 0


@TABLE.add("crm.activity.binding.list", scope="crm", any_case=False)
def binding_list(call: Call) -> list[dict[str, int]]:
    return [{"entityTypeId": kind, "entityId": number} for kind, number in bindings_of(_activity(call))]


@TABLE.add("crm.activity.binding.add", scope="crm", any_case=False)
def binding_add(call: Call) -> bool:
    activity, binding = _activity(call), _binding(call)
    if binding not in bindings_of(activity):
        activity["_BINDINGS"] = [*activity.get("_BINDINGS", []), binding]
        activity["LAST_UPDATED"] = call.site.now()
        _note(call)
    return True


@TABLE.add("crm.activity.binding.delete", scope="crm", any_case=False)
def binding_delete(call: Call) -> bool:
    activity, binding = _activity(call), _binding(call)
    left = [one for one in bindings_of(activity) if one != binding]
    if not left:
        raise RestError(400, "LAST_BINDING_CANNOT_BE_DELETED", "The last binding cannot be deleted")
    (activity["OWNER_TYPE_ID"], activity["OWNER_ID"]), *more = left
    activity["_BINDINGS"] = more
    _note(call)
    return True


def _note(call: Call) -> None:
    """The portal is another one now: what was found in it before does not hold."""
    with call.site.portal.lock:
        call.site.portal.revision += 1
