"""`crm.automation.trigger*`: triggers raised from outside. Source: reference section 4.18."""

from __future__ import annotations

import re
from typing import Any, Final

from connector.sandbox.bitrix24.automation import target_of
from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.kinds import find_object
from connector.sandbox.bitrix24.wire import RestError, missing_parameter, parse_int

TABLE = MethodTable()

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]+")


@TABLE.add("crm.automation.trigger", scope="crm")
def trigger(call: Call) -> bool:
    """The built-in trigger «Webhook», made in the interface: `target` «DEAL_57» and its `code`."""
    target = target_of(str(call.params.get("target") or ""))
    if target is None:
        raise RestError(400, "", "Incorrect target format")
    _raise(call, str(call.params.get("code") or ""), *target)
    return True


@TABLE.add("crm.automation.trigger.add", scope="crm", app_only="ACCESS_DENIED")
def add(call: Call) -> bool:
    """A second call with the same code renames the trigger."""
    call.require_admin()
    code, name = str(call.params.get("CODE") or ""), str(call.params.get("NAME") or "")
    if not _CODE.fullmatch(code):
        raise RestError(400, "", "Wrong trigger code!")
    if not name:
        raise RestError(400, "", "Empty trigger name!")
    call.site.application.triggers[code] = name
    return True


@TABLE.add("crm.automation.trigger.list", scope="crm", app_only="ACCESS_DENIED")
def list_(call: Call) -> list[dict[str, Any]]:
    call.require_admin()
    return [{"NAME": name, "CODE": code} for code, name in call.site.application.triggers.items()]


@TABLE.add("crm.automation.trigger.delete", scope="crm", app_only="ACCESS_DENIED")
def delete(call: Call) -> bool:
    call.require_admin()
    del call.site.application.triggers[_own(call)]
    return True


@TABLE.add("crm.automation.trigger.execute", scope="crm", app_only="ACCESS_DENIED")
def execute(call: Call) -> bool:
    code = _own(call)
    for name in ("OWNER_TYPE_ID", "OWNER_ID"):
        if call.params.get(name) is None:
            raise missing_parameter(name)
    type_id = parse_int(call.params["OWNER_TYPE_ID"]) or 0
    _raise(call, code, type_id, parse_int(call.params["OWNER_ID"]) or 0)
    return True


def _own(call: Call) -> str:
    code = str(call.params.get("CODE") or "")
    if code not in call.site.application.triggers:
        raise RestError(400, "", "Trigger not found!")
    return code


def _raise(call: Call, code: str, type_id: int, number: int) -> None:
    if find_object(call.site, type_id, number) is None:
        raise RestError(400, "", "Not found")
    call.site.automation.raise_trigger(code, type_id, number)
