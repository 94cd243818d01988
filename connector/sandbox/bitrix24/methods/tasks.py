"""`tasks.task.*`: UPPER_SNAKE in, camelCase out. Source: reference section 4.13.

How a task looks is told in `task_view`; its comments, check list and time in `task_parts`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of, selected
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.methods.activities import ACTIVITY_KIND
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.past import MEETING_KIND
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.task_view import (
    AWAITS_CONTROL,
    DEFERRED,
    DONE,
    EXTRAS,
    IN_PROGRESS,
    NO_DEADLINE,
    PREFIXES,
    WAITING,
    added_card,
    card,
    links_of,
    listed,
    status_of,
)
from connector.sandbox.bitrix24.wire import RestError, missing_parameter, moment, parse_int, parse_moment
from connector.sandbox.state import EntityType, Task

TABLE = MethodTable()

#: To-dos and meetings are activities here.
_ACTIVITIES: Final = frozenset({ACTIVITY_KIND, MEETING_KIND})


def task_with(site: Site, number: Any) -> Task:
    """The task of that id. Raises the error of a task that is not there."""
    task = site.portal.tasks.get(parse_int(number) or 0)
    if task is None or task.kind in _ACTIVITIES:
        raise RestError(400, "ERROR_CORE", "Task not found or not accessible")
    return task


def _task(call: Call) -> Task:
    number = call.params.get("taskId", call.params.get("id"))
    if number is None:
        raise missing_parameter("taskId")
    return task_with(call.site, number)


@TABLE.add("tasks.task.add", scope="task")
def task_add(call: Call) -> dict[str, Any]:
    wanted = {name.upper(): value for name, value in call.require_map("fields").items()}
    if not str(wanted.get("TITLE") or "").strip():
        raise RestError(400, "ERROR_CORE", "Task title is not specified")
    responsible = parse_int(wanted.get("RESPONSIBLE_ID")) or 0
    if responsible not in call.site.portal.users:
        raise RestError(400, "ERROR_CORE", "Responsible person is not specified or not found")
    now = call.site.now()
    entity, entity_id = _first_link(as_list(wanted.get("UF_CRM_TASK")))
    task = Task(
        0,
        str(wanted["TITLE"]),
        responsible,
        parse_moment(wanted.get("DEADLINE") or "", call.site.zone) or NO_DEADLINE,
        entity,
        entity_id,
        parse_int(wanted.get("CREATED_BY")) or call.user_id,
        now,
        now,
        description=str(wanted.get("DESCRIPTION") or ""),
    )
    added: Task = call.site.portal.add("task", task, by=call.user_id)
    call.site.task_extras[added.id] = {name: wanted[name] for name in wanted if name in EXTRAS}
    return {"task": added_card(call, added)}


def _first_link(links: list[Any]) -> tuple[EntityType | None, int | None]:
    """The object that the shared portal shows the task at: a deal before all others."""
    parsed = [str(link).partition("_") for link in links]
    known = [
        (PREFIXES[prefix], number)
        for prefix, _, rest in parsed
        if prefix in PREFIXES and (number := parse_int(rest))
    ]
    known.sort(key=lambda pair: pair[0] != "deal")
    return known[0] if known else (None, None)


@TABLE.add("tasks.task.get", scope="task")
def task_get(call: Call) -> Any:
    """A missing task is no error but an empty result."""
    try:
        return {"task": card(call, _task(call), selected(call))}
    except RestError as error:
        if error.code != "ERROR_CORE":
            raise
        return []


@TABLE.add("tasks.task.list", scope="task")
def task_list(call: Call) -> Page:
    with call.site.portal.lock:
        rows = [task for task in call.site.portal.tasks.rows() if task.kind not in _ACTIVITIES]
    names = selected(call)
    columns = Columns(lambda name: _column(call.site, name.upper()), strict=False, zone=call.site.zone)
    return page_of(
        call,
        rows,
        columns,
        lambda page: {"tasks": [listed(call, task, names) for task in page]},
        ascending_by="ID",
    )


def _column(site: Site, name: str) -> Column | None:
    def extra(name: str, kind: str = "integer") -> Column:
        return Column(kind, lambda task: site.task_extras.get(task.id, {}).get(name))

    columns = {
        "ID": Column("integer", lambda task: task.id),
        "TITLE": Column("string", lambda task: task.text),
        "DESCRIPTION": Column("string", lambda task: task.description),
        "RESPONSIBLE_ID": Column("integer", lambda task: task.responsible_id),
        "CREATED_BY": Column("integer", lambda task: task.created_by),
        "STATUS": Column("integer", lambda task: status_of(site, task)),
        "REAL_STATUS": Column("integer", lambda task: status_of(site, task)),
        "CREATED_DATE": Column("datetime", lambda task: task.created_at),
        "CHANGED_DATE": Column("datetime", lambda task: task.updated_at),
        "CLOSED_DATE": Column("datetime", lambda task: task.updated_at if task.is_done else None),
        "DEADLINE": Column("datetime", lambda task: None if task.due_at == NO_DEADLINE else task.due_at),
        "UF_CRM_TASK": Column("string", lambda task: links_of(site, task)),
        "TAG": extra("TAGS", "string"),
        **{name: extra(name) for name in ("GROUP_ID", "PARENT_ID", "PRIORITY", "STAGE_ID")},
        **{one: extra(many) for one, many in (("AUDITOR", "AUDITORS"), ("ACCOMPLICE", "ACCOMPLICES"))},
    }
    return columns.get(name)


@TABLE.add("tasks.task.update", scope="task")
def task_update(call: Call) -> dict[str, Any]:
    task = _task(call)
    wanted = {name.upper(): value for name, value in call.require_map("fields").items()}
    changes: dict[str, Any] = {}
    if "TITLE" in wanted:
        changes["text"] = str(wanted["TITLE"])
    if "DESCRIPTION" in wanted:
        changes["description"] = str(wanted["DESCRIPTION"] or "")
    if "RESPONSIBLE_ID" in wanted:
        changes["responsible_id"] = parse_int(wanted["RESPONSIBLE_ID"]) or task.responsible_id
    if "DEADLINE" in wanted:
        changes["due_at"] = parse_moment(wanted["DEADLINE"] or "", call.site.zone) or NO_DEADLINE
    extras = {name: wanted[name] for name in wanted if name in EXTRAS}
    if "STATUS" in wanted:
        changes["is_done"] = parse_int(wanted["STATUS"]) == DONE
        extras["STATUS"] = parse_int(wanted["STATUS"])
    if "UF_CRM_TASK" in wanted:
        changes["entity"], changes["entity_id"] = _first_link(as_list(wanted["UF_CRM_TASK"]))
    return {"task": added_card(call, _change(call, task, changes, extras))}


def _change(call: Call, task: Task, changes: dict[str, Any], extras: dict[str, Any]) -> Task:
    """The task after the change. What the shared portal does not know is told to handlers all the same."""
    site = call.site
    kept = site.task_extras.get(task.id, {})
    if any(kept.get(name) != value for name, value in extras.items()):
        before = status_of(site, task)
        site.task_extras[task.id] = kept = {**kept, **extras, "CHANGED_BY": call.user_id}
        if "STATUS" in extras and before != extras["STATUS"]:
            kept |= {
                "STATUS_CHANGED_BY": str(call.user_id),
                "STATUS_CHANGED_DATE": moment(site.now(), site.zone),
            }
        # Later than before even within a second: what differs in nothing is told to nobody.
        later = max(site.now(), task.updated_at + timedelta(microseconds=1))
        changes = {"updated_at": later, **changes}
    changed: Task = site.portal.update("task", task.id, changes, by=call.user_id)
    return changed


#: From which statuses an action leads where; the last column: whether the task is done then.
_MOVES: Final = {
    "start": ((WAITING, DEFERRED, IN_PROGRESS), IN_PROGRESS),
    "pause": ((IN_PROGRESS,), WAITING),
    "defer": ((WAITING, IN_PROGRESS), DEFERRED),
    "complete": ((WAITING, IN_PROGRESS, DEFERRED), DONE),
    "renew": ((DONE, DEFERRED, AWAITS_CONTROL), WAITING),
    "approve": ((AWAITS_CONTROL,), DONE),
    "disapprove": ((AWAITS_CONTROL,), WAITING),
}


def _move(action: str, call: Call) -> dict[str, Any]:
    """A task under control that somebody else completes waits for its author's word."""
    task = _task(call)
    allowed, status = _MOVES[action]
    if status_of(call.site, task) not in allowed:
        raise RestError(400, "ERROR_CORE", "Action on task is not allowed")
    extras: dict[str, Any] = {}
    is_checked = call.site.task_extras.get(task.id, {}).get("TASK_CONTROL") == "Y"
    if action == "complete" and is_checked and call.user_id != task.created_by:
        status = AWAITS_CONTROL
    if action == "start":
        extras["DATE_START"] = moment(call.site.now(), call.site.zone)
    changed = _change(call, task, {"is_done": status == DONE}, {**extras, "STATUS": status})
    return {"task": card(call, changed)}


for _action in _MOVES:
    TABLE.add(f"tasks.task.{_action}", scope="task")(partial(_move, _action))


@TABLE.add("tasks.task.delegate", scope="task")
def task_delegate(call: Call) -> dict[str, Any]:
    task, user_id = _task(call), parse_int(call.require("userId")) or 0
    if user_id not in call.site.portal.users:
        raise RestError(400, "ERROR_CORE", "Responsible person is not specified or not found")
    return {"task": card(call, _change(call, task, {"responsible_id": user_id}, {}))}


def _favorite(is_wanted: bool, call: Call) -> bool:
    task = _task(call)
    kept = call.site.task_extras.get(task.id, {})
    people = [number for number in as_list(kept.get("FAVORITE_OF")) if number != call.user_id]
    call.site.task_extras[task.id] = {**kept, "FAVORITE_OF": people + [call.user_id] * is_wanted}
    return True


TABLE.add("tasks.task.favorite.add", scope="task")(partial(_favorite, True))
TABLE.add("tasks.task.favorite.remove", scope="task")(partial(_favorite, False))


@TABLE.add("tasks.task.delete", scope="task")
def task_delete(call: Call) -> dict[str, bool]:
    task = _task(call)
    call.site.portal.delete("task", task.id, by=call.user_id)
    call.site.task_extras.pop(task.id, None)
    return {"task": True}


@TABLE.add("tasks.task.counters.get", scope="task")
def task_counters(call: Call) -> dict[str, Any]:
    """Tasks of the caller, or of `userId`, that are overdue (shape recalled, unverified)."""
    user_id = parse_int(call.params.get("userId")) or call.user_id
    now = call.site.now()

    def overdue(owns: Callable[[Task], bool]) -> int:
        tasks = call.site.portal.tasks.rows()
        return sum(owns(t) and not t.is_done and t.due_at < now and t.kind != ACTIVITY_KIND for t in tasks)

    expired = overdue(lambda task: task.responsible_id == user_id)
    originated = overdue(lambda task: task.created_by == user_id)
    return {
        "total": {"counter": expired, "code": ""},
        "expired": {"counter": expired, "code": 6291456},
        "originator_expired": {"counter": originated, "code": 12582912},
        "new_comments": {"counter": 0, "code": 33554432},
    }
