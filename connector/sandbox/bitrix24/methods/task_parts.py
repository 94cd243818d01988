"""What hangs on a task: comments, results, the check list, time spent.

The older methods take positional or named parameters. Source: reference section 4.13; the keys of the rows
are recalled (unverified).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.methods.tasks import task_with
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.wire import RestError, is_yes, missing_parameter, moment, parse_int
from connector.sandbox.state import Task

TABLE = MethodTable()

_NAMES: Final = {
    "commentitem": ("POST_MESSAGE",),
    "checklistitem": ("TITLE", "IS_COMPLETE", "IS_IMPORTANT", "PARENT_ID", "SORT_INDEX"),
    "elapseditem": ("SECONDS", "COMMENT_TEXT", "CREATED_DATE", "USER_ID"),
}
_KINDS: Final = {"commentitem": "comment", "checklistitem": "checklist", "elapseditem": "elapsed"}
#: Without it an entry is not made, and what the error calls it.
_NEEDED: Final = {"commentitem": "POST_MESSAGE", "checklistitem": "TITLE", "elapseditem": "SECONDS"}


def _argument(call: Call, place: int, *names: str) -> Any:
    given = call.params.as_dict()
    named = (call.params[name] for name in names if call.params.get(name) is not None)
    return next(named, given.get(str(place)))


def _owner(call: Call) -> Task:
    number = _argument(call, 0, "TASKID", "taskId", "TASK_ID")
    if number is None:
        raise missing_parameter("TASKID")
    return task_with(call.site, number)


def _fields(family: str, call: Call, place: int) -> dict[str, Any]:
    given = as_map(_argument(call, place, "FIELDS", "ARFIELDS", "arNewFields"))
    return {name.upper(): value for name, value in given.items() if name.upper() in _NAMES[family]}


def _items(call: Call, family: str, task: Task) -> list[dict[str, Any]]:
    rows = call.site.task_items.values()
    return [item for item in rows if item["KIND"] == _KINDS[family] and item["TASK_ID"] == task.id]


def _item(family: str, call: Call) -> dict[str, Any]:
    task, number = _owner(call), parse_int(_argument(call, 1, "ITEMID", "itemId"))
    found = next((item for item in _items(call, family, task) if item["ID"] == number), None)
    if found is None:
        raise RestError(400, "ERROR_CORE", "Item not found or not accessible")
    return found


def _add(family: str, call: Call) -> int:
    task, wanted = _owner(call), _fields(family, call, 1)
    if not str(wanted.get(_NEEDED[family]) or "").strip():
        raise RestError(400, "ERROR_CORE", f"{_NEEDED[family]} is not specified")
    number = call.site.portal.new_id("task_item")
    call.site.task_items[number] = {
        "ID": number,
        "KIND": _KINDS[family],
        "TASK_ID": task.id,
        "AUTHOR": call.user_id,
        "AT": moment(call.site.now(), call.site.zone),
        **wanted,
    }
    if family == "commentitem":
        # The board shows the last comment as what came of the task.
        call.site.portal.update("task", task.id, {"result": str(wanted["POST_MESSAGE"])}, by=call.user_id)
    return number


def _get(family: str, call: Call) -> dict[str, Any]:
    return _present(family, call, _item(family, call))


def _getlist(family: str, call: Call) -> list[dict[str, Any]]:
    return [_present(family, call, item) for item in _items(call, family, _owner(call))]


def _update(family: str, call: Call) -> bool:
    _item(family, call).update(_fields(family, call, 2))
    return True


def _delete(family: str, call: Call) -> bool:
    del call.site.task_items[_item(family, call)["ID"]]
    return True


for _family in _NAMES:
    for _verb, _handler in (
        ("add", _add),
        ("get", _get),
        ("getlist", _getlist),
        ("update", _update),
        ("delete", _delete),
    ):
        TABLE.add(f"task.{_family}.{_verb}", scope="task")(partial(_handler, _family))


def _mark(is_complete: str, call: Call) -> bool:
    _item("checklistitem", call).update({"IS_COMPLETE": is_complete})
    return True


TABLE.add("task.checklistitem.complete", scope="task")(partial(_mark, "Y"))
TABLE.add("task.checklistitem.renew", scope="task")(partial(_mark, "N"))


def _present(family: str, call: Call, item: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"ID": str(item["ID"]), "TASK_ID": str(item["TASK_ID"])}
    if family == "commentitem":
        user = call.site.portal.users.get(item["AUTHOR"])
        return {
            "ID": row["ID"],
            "AUTHOR_ID": str(item["AUTHOR"]),
            "AUTHOR_NAME": f"{user.name} {user.last_name}".strip() if user else "",
            "AUTHOR_EMAIL": user.email if user else "",
            "POST_DATE": item["AT"],
            "POST_MESSAGE": str(item["POST_MESSAGE"]),
            "POST_MESSAGE_HTML": None,
        }
    if family == "checklistitem":
        return row | {
            "PARENT_ID": parse_int(item.get("PARENT_ID")) or 0,
            "CREATED_BY": str(item["AUTHOR"]),
            "TITLE": str(item["TITLE"]),
            "SORT_INDEX": str(item.get("SORT_INDEX", 0)),
            "IS_COMPLETE": "Y" if is_yes(item.get("IS_COMPLETE", "")) else "N",
            "IS_IMPORTANT": "Y" if is_yes(item.get("IS_IMPORTANT", "")) else "N",
            "TOGGLED_BY": None,
            "TOGGLED_DATE": "",
            "MEMBERS": [],
            "ATTACHMENTS": {},
        }
    seconds = parse_int(item["SECONDS"]) or 0
    return row | {
        "USER_ID": str(item.get("USER_ID") or item["AUTHOR"]),
        "COMMENT_TEXT": str(item.get("COMMENT_TEXT") or ""),
        "SECONDS": str(seconds),
        "MINUTES": str(seconds // 60),
        "SOURCE": "3",
        "CREATED_DATE": str(item.get("CREATED_DATE") or item["AT"]),
        "DATE_START": item["AT"],
        "DATE_STOP": item["AT"],
    }


@TABLE.add("tasks.task.result.list", scope="task")
def result_list(call: Call) -> list[dict[str, Any]]:
    return [_result(item) for item in _items(call, "commentitem", _owner(call)) if item.get("IS_RESULT")]


@TABLE.add("tasks.task.result.addFromComment", scope="task")
def result_add(call: Call) -> dict[str, Any]:
    item = _comment(call)
    item["IS_RESULT"] = True
    return _result(item)


@TABLE.add("tasks.task.result.deleteFromComment", scope="task")
def result_delete(call: Call) -> bool:
    return bool(_comment(call).pop("IS_RESULT", False))


def _comment(call: Call) -> dict[str, Any]:
    item = call.site.task_items.get(parse_int(call.require("commentId")) or 0)
    if item is None or item["KIND"] != "comment":
        raise RestError(400, "ERROR_CORE", "Comment not found")
    return item


def _result(item: Mapping[str, Any]) -> dict[str, Any]:
    text = str(item["POST_MESSAGE"])
    return {
        "id": item["ID"],
        "taskId": item["TASK_ID"],
        "commentId": item["ID"],
        "createdBy": item["AUTHOR"],
        "createdAt": item["AT"],
        "updatedAt": item["AT"],
        "status": 0,
        "text": text,
        "formattedText": text,
        "files": [],
    }
