"""`bizproc.robot.*`, `bizproc.activity.*`, `bizproc.event.send`: robots that an application brings along.

Source: reference section 4.18.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from connector.sandbox.bitrix24.application import Robot
from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.wire import RestError, is_yes, parse_int

TABLE = MethodTable()

_TYPES: Final = frozenset(
    {"bool", "date", "datetime", "double", "int", "string", "text", "select", "file", "user"}
)


def _invalid(text: str) -> RestError:
    return RestError(400, "ERROR_ACTIVITY_VALIDATION_FAILURE", text)


def _handler(call: Call, wanted: Mapping[str, Any]) -> str:
    """The handler, on the application's own domain."""
    handler = str(wanted.get("HANDLER") or "")
    parts = urlsplit(handler)
    if parts.scheme not in ("http", "https"):
        code = "ERROR_UNSUPPORTED_PROTOCOL" if parts.scheme and parts.netloc else "ERROR_WRONG_HANDLER_URL"
        raise RestError(400, code, "Wrong handler URL")
    own = urlsplit(call.site.application.handler_url).hostname
    if not parts.hostname or (own and parts.hostname != own):
        raise RestError(400, "ERROR_WRONG_HANDLER_URL", "Wrong handler URL")
    return handler


def _properties(wanted: Mapping[str, Any], name: str) -> dict[str, Any]:
    described = as_map(wanted.get(name))
    for key, entry in described.items():
        if not key[:1].isalpha():
            raise _invalid(f"Wrong property key ({key})!")
        if str(as_map(entry).get("Type") or "string").lower() not in _TYPES:
            raise _invalid(f"Wrong property type ({key})!")
    return described


def _waits(wanted: Mapping[str, Any]) -> bool | None:
    return is_yes(wanted["USE_SUBSCRIPTION"]) if wanted.get("USE_SUBSCRIPTION") else None


def _name(wanted: Mapping[str, Any]) -> str:
    name = wanted.get("NAME")
    return str(next(iter(name.values()), "") if isinstance(name, Mapping) else name or "")


def _add(is_robot: bool, call: Call) -> bool:
    call.require_admin()
    wanted = call.params
    code = str(wanted.get("CODE") or "")
    if not code:
        raise _invalid("Empty activity code!")
    if code in call.site.application.robots:
        raise RestError(400, "ERROR_ACTIVITY_ALREADY_INSTALLED", "Activity or Robot already installed!")
    if not _name(wanted):
        raise _invalid("Empty activity NAME!")
    call.site.application.robots[code] = Robot(
        code,
        _handler(call, wanted),
        parse_int(wanted.get("AUTH_USER_ID", 0)) or 0,
        _name(wanted),
        _waits(wanted),
        _properties(wanted, "PROPERTIES"),
        _properties(wanted, "RETURN_PROPERTIES"),
        as_map(wanted.get("FILTER")),
        is_robot,
    )
    return True


def _update(is_robot: bool, call: Call) -> bool:
    call.require_admin()
    robot, fields = _known(is_robot, call), call.require_map("FIELDS")
    if "HANDLER" in fields:
        robot.handler = _handler(call, fields)
    if "AUTH_USER_ID" in fields:
        robot.user_id = parse_int(fields["AUTH_USER_ID"]) or 0
    if "NAME" in fields:
        robot.name = _name(fields)
    if "USE_SUBSCRIPTION" in fields:
        robot.waits = _waits(fields)
    if "PROPERTIES" in fields:
        robot.properties = _properties(fields, "PROPERTIES")
    if "RETURN_PROPERTIES" in fields:
        robot.returns = _properties(fields, "RETURN_PROPERTIES")
    return True


def _list(is_robot: bool, call: Call) -> list[str]:
    call.require_admin()
    return [robot.code for robot in call.site.application.robots.values() if robot.is_robot == is_robot]


def _delete(is_robot: bool, call: Call) -> bool:
    call.require_admin()
    del call.site.application.robots[_known(is_robot, call).code]
    return True


def _known(is_robot: bool, call: Call) -> Robot:
    robot = call.site.application.robots.get(str(call.params.get("CODE") or ""))
    if robot is None or robot.is_robot != is_robot:
        raise RestError(400, "ERROR_ACTIVITY_NOT_FOUND", "Activity or Robot not found!")
    return robot


for _group, _is_robot in (("robot", True), ("activity", False)):
    for _verb, _run in (("add", _add), ("update", _update), ("list", _list), ("delete", _delete)):
        _enter = TABLE.add(f"bizproc.{_group}.{_verb}", scope="bizproc", app_only="ACCESS_DENIED")
        _enter(partial(_run, _is_robot))


@TABLE.add("bizproc.event.send", scope="bizproc")
def event_send(call: Call) -> bool:
    token = str(call.params.get("EVENT_TOKEN") or "")
    text = str(call.params.get("LOG_MESSAGE") or "")
    call.site.automation.answer(token, as_map(call.params.get("RETURN_VALUES")), text)
    return True


@TABLE.add("bizproc.activity.log", scope="bizproc")
def activity_log(call: Call) -> bool:
    token = str(call.params.get("EVENT_TOKEN") or "")
    call.site.automation.note(token, str(call.params.get("LOG_MESSAGE") or ""))
    return True
