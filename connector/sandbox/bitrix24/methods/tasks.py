"""`tasks.task.*`: UPPER_SNAKE in, camelCase out, everything a string. Source: reference section 4.13."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of, selected
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.methods.activities import ACTIVITY_KIND
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError, missing_parameter, moment, parse_int, parse_moment
from connector.sandbox.state import EntityType, Task

TABLE = MethodTable()

WAITING, DONE = 2, 5

#: The shared portal asks for a due time; a task without a deadline gets this one.
NO_DEADLINE: Final = datetime(9999, 1, 1, tzinfo=UTC)

_PREFIXES: Final[dict[str, EntityType]] = {"D": "deal", "C": "contact", "CO": "company"}
_SHORT: Final = {entity: prefix for prefix, entity in _PREFIXES.items()}
_ACTIONS: Final = (
    "accept",
    "decline",
    "complete",
    "approve",
    "disapprove",
    "start",
    "delegate",
    "remove",
    "edit",
)


def links_of(site: Site, task: Task) -> list[str]:
    """`UF_CRM_TASK`: «D_10», «CO_5»."""
    stored = site.task_extras.get(task.id, {}).get("UF_CRM_TASK")
    if stored is not None:
        return [str(link) for link in stored]
    return [f"{_SHORT[task.entity]}_{task.entity_id}"] if task.entity in _SHORT else []


def _task(call: Call) -> Task | None:
    number = call.params.get("taskId", call.params.get("id"))
    if number is None:
        raise missing_parameter("taskId")
    task = call.site.portal.tasks.get(parse_int(number) or 0)
    return None if task is None or task.kind == ACTIVITY_KIND else task


def _must_have(call: Call) -> Task:
    task = _task(call)
    if task is None:
        raise RestError(400, "ERROR_CORE", "Task not found or not accessible")
    return task


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
    call.site.task_extras[added.id] = {name: wanted[name] for name in wanted if name in _EXTRAS}
    return {"task": _present(call, added)}


_EXTRAS: Final = frozenset(
    {
        "UF_CRM_TASK",
        "AUDITORS",
        "ACCOMPLICES",
        "GROUP_ID",
        "PARENT_ID",
        "PRIORITY",
        "TAGS",
        "UF_TASK_WEBDAV_FILES",
    }
)


def _first_link(links: list[Any]) -> tuple[EntityType | None, int | None]:
    """The object that the shared portal shows the task at: a deal before all others."""
    parsed = [str(link).partition("_") for link in links]
    known = [(_PREFIXES[prefix], int(number)) for prefix, _, number in parsed if prefix in _PREFIXES]
    known.sort(key=lambda pair: pair[0] != "deal")
    return known[0] if known else (None, None)


@TABLE.add("tasks.task.get", scope="task")
def task_get(call: Call) -> dict[str, Any]:
    """A missing task is no error but an empty result."""
    task = _task(call)
    return {} if task is None else {"task": _present(call, task, set(selected(call)))}


@TABLE.add("tasks.task.list", scope="task")
def task_list(call: Call) -> Page:
    with call.site.portal.lock:
        rows = [task for task in call.site.portal.tasks.rows() if task.kind != ACTIVITY_KIND]
    names = set(selected(call))
    columns = Columns(lambda name: _column(call.site, name.upper()), strict=False, zone=call.site.zone)
    return page_of(
        call,
        rows,
        columns,
        lambda page: {"tasks": [_present(call, task, names) for task in page]},
        ascending_by="ID",
    )


def _column(site: Site, name: str) -> Column | None:
    columns = {
        "ID": Column("integer", lambda task: task.id),
        "TITLE": Column("string", lambda task: task.text),
        "DESCRIPTION": Column("string", lambda task: task.description),
        "RESPONSIBLE_ID": Column("integer", lambda task: task.responsible_id),
        "CREATED_BY": Column("integer", lambda task: task.created_by),
        "STATUS": Column("integer", lambda task: DONE if task.is_done else WAITING),
        "REAL_STATUS": Column("integer", lambda task: DONE if task.is_done else WAITING),
        "CREATED_DATE": Column("datetime", lambda task: task.created_at),
        "CHANGED_DATE": Column("datetime", lambda task: task.updated_at),
        "DEADLINE": Column("datetime", lambda task: None if task.due_at == NO_DEADLINE else task.due_at),
        "UF_CRM_TASK": Column("string", lambda task: links_of(site, task)),
    }
    return columns.get(name)


@TABLE.add("tasks.task.update", scope="task")
def task_update(call: Call) -> dict[str, Any]:
    task = _must_have(call)
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
    if "STATUS" in wanted:
        changes["is_done"] = parse_int(wanted["STATUS"]) == DONE
    if "UF_CRM_TASK" in wanted:
        changes["entity"], changes["entity_id"] = _first_link(as_list(wanted["UF_CRM_TASK"]))
    extras = call.site.task_extras.setdefault(task.id, {})
    extras |= {name: wanted[name] for name in wanted if name in _EXTRAS}
    return {"task": _present(call, call.site.portal.update("task", task.id, changes, by=call.user_id))}


def _set_done(call: Call, *, is_done: bool) -> dict[str, Any]:
    task = _must_have(call)
    return {
        "task": _present(
            call, call.site.portal.update("task", task.id, {"is_done": is_done}, by=call.user_id)
        )
    }


@TABLE.add("tasks.task.complete", scope="task")
def task_complete(call: Call) -> dict[str, Any]:
    return _set_done(call, is_done=True)


@TABLE.add("tasks.task.renew", scope="task")
def task_renew(call: Call) -> dict[str, Any]:
    return _set_done(call, is_done=False)


@TABLE.add("tasks.task.delete", scope="task")
def task_delete(call: Call) -> dict[str, bool]:
    call.site.portal.delete("task", _must_have(call).id, by=call.user_id)
    return {"task": True}


@TABLE.add("task.commentitem.add", scope="task")
def comment_add(call: Call) -> int:
    """A comment, which this portal keeps as the task's result. Positional or named parameters."""
    given = call.params.as_dict()
    number = call.params.get("TASKID", given.get("0"))
    fields = as_map(call.params.get("FIELDS", given.get("1")))
    task = call.site.portal.tasks.get(parse_int(number) or 0)
    if task is None:
        raise RestError(400, "ERROR_CORE", "Task not found or not accessible")
    text = str(fields.get("POST_MESSAGE") or "")
    if not text:
        raise RestError(400, "ERROR_CORE", "Message is not specified")
    call.site.portal.update("task", task.id, {"result": text}, by=call.user_id)
    return call.site.portal.new_id("task_comment")


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


def _present(call: Call, task: Task, names: set[str] | None = None) -> dict[str, Any]:
    """CRM links and attached files are shown only when `select` names them."""
    site, zone = call.site, call.site.zone
    extras = site.task_extras.get(task.id, {})
    status = str(DONE if task.is_done else WAITING)
    changed = moment(task.updated_at, zone)
    row: dict[str, Any] = {
        "id": str(task.id),
        "parentId": extras.get("PARENT_ID"),
        "title": task.text,
        "description": task.description,
        "mark": None,
        "priority": str(extras.get("PRIORITY", 1)),
        "stageId": "0",
        "createdBy": str(task.created_by),
        "createdDate": moment(task.created_at, zone),
        "responsibleId": str(task.responsible_id),
        "changedBy": str(task.created_by),
        "changedDate": changed,
        "closedBy": str(task.responsible_id) if task.is_done else None,
        "closedDate": changed if task.is_done else None,
        "activityDate": changed,
        "deadline": None if task.due_at == NO_DEADLINE else moment(task.due_at, zone),
        "descriptionInBbcode": "Y",
        "status": status,
        "subStatus": status,
        "groupId": str(extras.get("GROUP_ID", 0)),
        "auditors": [str(number) for number in as_list(extras.get("AUDITORS"))],
        "accomplices": [str(number) for number in as_list(extras.get("ACCOMPLICES"))],
        "checklist": [],
        "group": [],
        "creator": _person(call, task.created_by),
        "responsible": _person(call, task.responsible_id),
        "favorite": "N",
        "action": {name: name == "complete" and not task.is_done for name in _ACTIONS},
    }
    wanted = {name.upper() for name in names or ()}
    if wanted & {"UF_CRM_TASK", "UFCRMTASK"}:
        row["ufCrmTask"] = links_of(site, task)
    if wanted & {"UF_TASK_WEBDAV_FILES", "UFTASKWEBDAVFILES"}:
        row["ufTaskWebdavFiles"] = as_list(extras.get("UF_TASK_WEBDAV_FILES"))
    return row
