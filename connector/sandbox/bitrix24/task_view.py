"""How a task looks in the answers of `tasks.task.*`: camelCase, strings, and what one may do to it.

A task's text, people, time and end are the shared portal's; what only this dialect knows lies in
`Site.task_extras`, by UPPER_SNAKE name. Source: reference section 4.13 and its samples.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call
from connector.sandbox.bitrix24.entities import camel_name
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import EMPTY_OBJECT, moment, parse_int
from connector.sandbox.state import EntityType, Task

WAITING, IN_PROGRESS, AWAITS_CONTROL, DONE, DEFERRED = 2, 3, 4, 5, 6

#: The shared portal asks for a due time; a task without a deadline gets this one.
NO_DEADLINE: Final = datetime(9999, 1, 1, tzinfo=UTC)

PREFIXES: Final[dict[str, EntityType]] = {"D": "deal", "C": "contact", "CO": "company"}
_SHORT: Final = {entity: prefix for prefix, entity in PREFIXES.items()}

#: Flags that a client may write, with what they are when nobody did.
_FLAGS: Final = {
    "MULTITASK": "N",
    "REPLICATE": "N",
    "ALLOW_CHANGE_DEADLINE": "N",
    "ALLOW_TIME_TRACKING": "N",
    "TASK_CONTROL": "N",
    "ADD_IN_REPORT": "N",
    "MATCH_WORK_TIME": "N",
}
_FREE: Final = frozenset({"PARENT_ID", "MARK", "XML_ID", "START_DATE_PLAN", "END_DATE_PLAN", "FLOW_ID"})
#: What a write may set beside the attributes of the shared task.
EXTRAS: Final = frozenset(
    {
        *("UF_CRM_TASK", "AUDITORS", "ACCOMPLICES", "GROUP_ID", "PRIORITY", "TAGS", "TIME_ESTIMATE"),
        *("UF_TASK_WEBDAV_FILES", "STAGE_ID", "DURATION_PLAN", "DURATION_TYPE"),
        "TASK_REQUIRE_RESULT",
        *_FLAGS,
        *_FREE,
    }
)
#: Shown beside the fields that `select` names, and with which of them.
_COMPANIONS: Final = {
    "CREATED_BY": ("creator",),
    "RESPONSIBLE_ID": ("responsible",),
    "ACCOMPLICES": ("accomplicesData",),
    "AUDITORS": ("auditorsData",),
    "STATUS": ("status", "subStatus"),
}
_IN_EVERY_ANSWER: Final = ("id", "descriptionInBbcode", "group")
_ON_A_CARD: Final = ("favorite", "action")
#: Fields that come only when `select` names them, or with `*`.
_ON_DEMAND: Final = frozenset({"ufCrmTask", "ufTaskWebdavFiles", "ufMailMessage", "tags"})


def links_of(site: Site, task: Task) -> list[str]:
    """`UF_CRM_TASK`: «D_10», «CO_5»."""
    stored = site.task_extras.get(task.id, {}).get("UF_CRM_TASK")
    if stored is not None:
        return [str(link) for link in as_list(stored)]
    return [f"{_SHORT[task.entity]}_{task.entity_id}"] if task.entity in _SHORT else []


def status_of(site: Site, task: Task) -> int:
    """2 waiting, 3 in progress, 4 awaiting control, 5 done, 6 deferred; the shared portal knows only done."""
    if task.is_done:
        return DONE
    kept = parse_int(site.task_extras.get(task.id, {}).get("STATUS"))
    return kept if kept in (IN_PROGRESS, AWAITS_CONTROL, DEFERRED) else WAITING


def card(call: Call, task: Task, names: list[str] | None = None) -> dict[str, Any]:
    """One task with what the caller may do to it; `names` as in `select`."""
    row = {**_row(call, task), "favorite": _favorite(call, task), "action": _actions(call, task)}
    return _chosen(row, names, (*_IN_EVERY_ANSWER, *_ON_A_CARD))


def added_card(call: Call, task: Task) -> dict[str, Any]:
    """What adding and changing answer: the card with its check list, which has nothing in it yet."""
    root: dict[str, Any] = {
        **dict.fromkeys(("id", "copiedId", "entityId"), None),
        "userId": call.user_id,
        **dict.fromkeys(("createdBy", "parentId"), None),
        "title": "",
        "sortIndex": None,
        "displaySortIndex": "",
        "isComplete": False,
        "isImportant": False,
        "completedCount": 0,
        "members": [],
        "attachments": [],
    }
    tree = {"nodeId": 0, "fields": root, "action": [], "descendants": []}
    return {**card(call, task), "newCommentsCount": 0, "checkListTree": tree, "checkListCanAdd": True}


def listed(call: Call, task: Task, names: list[str]) -> dict[str, Any]:
    """One row of `tasks.task.list`."""
    results = [item for item in call.site.task_items.values() if _is_result_of(item, task)]
    row = _row(call, task) | {
        "lengthDeadline": "1",
        "taskRequireResult": _extra(call.site, task, "TASK_REQUIRE_RESULT", "N"),
        "taskHasOpenResult": "N",
        "taskHasResult": "Y" if results else "N",
        "timeElapsed": None,
        "timerIsRunningForCurrentUser": "N",
        "parsedDescription": task.description,
        "counter": _counter(call, task),
    }
    return _chosen(row, names, _IN_EVERY_ANSWER)


def _is_result_of(item: dict[str, Any], task: Task) -> bool:
    return bool(item["KIND"] == "comment" and item["TASK_ID"] == task.id and item.get("IS_RESULT"))


def _chosen(row: dict[str, Any], names: list[str] | None, always: tuple[str, ...]) -> dict[str, Any]:
    """The fields that `select` names, in either spelling, with what comes along; else all but rare ones."""
    wanted = [name if name[:1].islower() else name.upper() for name in names or []]
    if not wanted or "*" in wanted:
        shown = {camel_name(name) if name.isupper() else name for name in wanted}
        return {name: value for name, value in row.items() if name not in _ON_DEMAND or name in shown}
    shown = set(always)
    for name in wanted:
        shown.add(camel_name(name) if name.isupper() else name)
        shown.update(_COMPANIONS.get(name, ()))
    return {name: value for name, value in row.items() if name in shown}


def _extra(site: Site, task: Task, name: str, empty: Any = None) -> Any:
    value = site.task_extras.get(task.id, {}).get(name)
    return empty if value in (None, "") else value


def _row(call: Call, task: Task) -> dict[str, Any]:
    site, zone = call.site, call.site.zone
    extra: Callable[..., Any] = lambda name, empty=None: _extra(site, task, name, empty)  # noqa: E731
    status = status_of(site, task)
    changed, created = moment(task.updated_at, zone), moment(task.created_at, zone)
    people = {name: [str(number) for number in as_list(extra(name))] for name in ("AUDITORS", "ACCOMPLICES")}
    return {
        "id": str(task.id),
        "title": task.text,
        "description": task.description,
        "priority": str(extra("PRIORITY", 1)),
        "notViewed": "N",
        "stageId": str(extra("STAGE_ID", 0)),
        "createdBy": str(task.created_by),
        "createdDate": created,
        "responsibleId": str(task.responsible_id),
        "changedBy": str(extra("CHANGED_BY", task.created_by)),
        "changedDate": changed,
        "statusChangedBy": extra("STATUS_CHANGED_BY"),
        "statusChangedDate": extra("STATUS_CHANGED_DATE", created),
        "closedBy": str(task.responsible_id) if task.is_done else None,
        "closedDate": changed if task.is_done else None,
        "activityDate": changed,
        "dateStart": extra("DATE_START"),
        "deadline": None if task.due_at == NO_DEADLINE else moment(task.due_at, zone),
        "guid": f"{{{uuid.uuid5(uuid.NAMESPACE_URL, f'{site.member_id}/{task.id}')}}}",
        "timeEstimate": str(extra("TIME_ESTIMATE", 0)),
        "durationPlan": extra("DURATION_PLAN"),
        "durationType": extra("DURATION_TYPE", "days"),
        "siteId": "s1",
        "subordinate": "N" if task.created_by == task.responsible_id else "Y",
        "outlookVersion": "1",
        "isMuted": "N",
        "isPinned": "N",
        "isPinnedInGroup": "N",
        "descriptionInBbcode": "Y",
        "status": str(status),
        "subStatus": str(status),
        "groupId": str(extra("GROUP_ID", 0)),
        "auditors": people["AUDITORS"],
        "accomplices": people["ACCOMPLICES"],
        "checklist": [],
        "group": [],
        "creator": _person(call, task.created_by),
        "responsible": _person(call, task.responsible_id),
        "accomplicesData": _people(call, people["ACCOMPLICES"]),
        "auditorsData": _people(call, people["AUDITORS"]),
        **{camel_name(name): extra(name, empty) for name, empty in _FLAGS.items()},
        **{camel_name(name): extra(name) for name in sorted(_FREE)},
        **dict.fromkeys(
            (
                *("commentsCount", "serviceCommentsCount", "forkedByTemplateId", "timeSpentInLogs"),
                *("forumTopicId", "forumId", "exchangeModified", "exchangeId", "viewedDate", "sorting"),
                "durationFact",
            )
        ),
        "ufCrmTask": links_of(site, task),
        "ufTaskWebdavFiles": [parse_int(str(n).lstrip("n")) for n in as_list(extra("UF_TASK_WEBDAV_FILES"))],
        "ufMailMessage": None,
        "tags": _tags(site, as_list(extra("TAGS"))),
    }


def _tags(site: Site, titles: list[Any]) -> Any:
    numbers = {site.number_of("task_tag", str(title), start=35): str(title) for title in titles}
    return {str(number): {"id": number, "title": title} for number, title in numbers.items()} or EMPTY_OBJECT


def _person(call: Call, user_id: int) -> dict[str, Any]:
    user = call.site.portal.users.get(user_id)
    name = f"{user.name} {user.last_name}".strip() if user else ""
    return {
        "id": str(user_id),
        "name": name,
        "link": f"/company/personal/user/{user_id}/",
        "icon": "/bitrix/images/tasks/default_avatar.png",
        "workPosition": user.post if user else "",
    }


def _people(call: Call, ids: list[str]) -> Any:
    return {number: _person(call, parse_int(number) or 0) for number in ids} or []


def _favorite(call: Call, task: Task) -> str:
    return "Y" if call.user_id in as_list(_extra(call.site, task, "FAVORITE_OF")) else "N"


def _counter(call: Call, task: Task) -> dict[str, Any]:
    expired = int(not task.is_done and task.due_at < call.site.now())
    others = ("newComments", "projectExpired", "projectNewComments", "mutedExpired", "mutedNewComments")
    counters = {"expired": expired, **dict.fromkeys(others, 0)}
    return {"counters": counters, "color": "danger" if expired else "gray", "value": expired}


def _actions(call: Call, task: Task) -> dict[str, bool]:
    """What the caller may do. Rights are not checked here: all that the status allows."""
    status = status_of(call.site, task)
    is_open, is_favorite = status not in (DONE, AWAITS_CONTROL), _favorite(call, task) == "Y"
    return {
        "accept": False,
        "decline": False,
        "complete": is_open,
        "approve": status == AWAITS_CONTROL,
        "disapprove": status == AWAITS_CONTROL,
        "start": status in (WAITING, DEFERRED),
        "pause": status == IN_PROGRESS,
        "delegate": is_open,
        "remove": True,
        "edit": True,
        "defer": status in (WAITING, IN_PROGRESS),
        "renew": status in (DONE, DEFERRED),
        "create": True,
        "changeDeadline": is_open,
        "checklistAddItems": True,
        "addFavorite": not is_favorite,
        "deleteFavorite": is_favorite,
        "rate": True,
        "take": False,
        "edit.originator": False,
        "checklist.reorder": True,
        "elapsedtime.add": True,
        "dayplan.timer.toggle": False,
        "edit.plan": True,
        "checklist.add": True,
        "favorite.add": not is_favorite,
        "favorite.delete": is_favorite,
    }
