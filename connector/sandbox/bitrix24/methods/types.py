"""`crm.type.*`: smart processes as their records. Filter and order know lower-case names only.

Source: reference sections 2.3 and 4.1.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of
from connector.sandbox.bitrix24.filters import Column, Columns, split_operator
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.smart import FIRST_DYNAMIC, SmartType
from connector.sandbox.bitrix24.wire import RestError, is_yes, parse_int

TABLE = MethodTable()

_FLAGS: Final = (
    *("isCategoriesEnabled", "isStagesEnabled", "isBeginCloseDatesEnabled", "isClientEnabled"),
    *("isLinkWithProductsEnabled", "isMycompanyEnabled", "isObserversEnabled", "isDocumentsEnabled"),
    *("isSourceEnabled", "isUseInUserfieldEnabled", "isAutomationEnabled", "isBizProcEnabled"),
)
_COLUMNS: Final = {"id": "integer", "entityTypeId": "integer", "title": "string", "code": "string"}


def _type(call: Call, found: SmartType) -> dict[str, Any]:
    flags = {name: found.flags.get(name, "Y") for name in _FLAGS}
    return {
        "id": found.id,
        "title": found.title,
        "code": found.code,
        "createdBy": found.created_by,
        "entityTypeId": found.type_id,
        "customSectionId": None,
        **flags,
    }


def _found(call: Call) -> SmartType:
    number = call.id()
    for known in call.site.smart.types.values():
        if known.id == number:
            return known
    raise RestError(400, "NOT_FOUND", "SPA not found")


@TABLE.add("crm.type.list", scope="crm", any_case=False)
def type_list(call: Call) -> Page:
    for part in ("filter", "order"):
        for key in as_map(call.params.get(part)):
            name = split_operator(key)[1]
            if name == "ID":
                raise RestError(400, "100", "Unknown field definition `I_D` for entity `Type`")
    rows = [_type(call, found) for _, found in sorted(call.site.smart.types.items())]

    def find(name: str) -> Column | None:
        kind = _COLUMNS.get(name)
        return Column(kind, lambda row: row[name]) if kind else None

    columns = Columns(find, strict=False, zone=call.site.zone)
    return page_of(call, rows, columns, lambda page: {"types": page}, ascending_by="id")


@TABLE.add("crm.type.get", scope="crm", any_case=False)
def type_get(call: Call) -> dict[str, Any]:
    return {"type": _type(call, _found(call))}


@TABLE.add("crm.type.getbyentitytypeid", scope="crm", any_case=False)
def type_by_entity(call: Call) -> dict[str, Any]:
    found = call.site.smart.types.get(parse_int(call.require("entityTypeId")) or 0)
    if found is None:
        raise RestError(400, "NOT_FOUND", "SPA not found")
    return {"type": _type(call, found)}


@TABLE.add("crm.type.add", scope="crm", any_case=False)
def type_add(call: Call) -> dict[str, Any]:
    call.require_admin()
    wanted = call.require_map("fields")
    title = str(wanted.get("title") or "")
    if not title:
        raise RestError(400, "BX_EMPTY_REQUIRED", "The field «title» is required")
    type_id = parse_int(wanted.get("entityTypeId", 0)) or 0
    if type_id and (type_id < FIRST_DYNAMIC or type_id in call.site.smart.types):
        raise RestError(400, "BX_INVALID_VALUE", "entityTypeId is taken or too small")
    made = call.site.smart.add_type(
        title, type_id, str(wanted.get("code") or ""), call.user_id, _flags(wanted)
    )
    return {"type": _type(call, made)}


def _flags(wanted: dict[str, Any]) -> dict[str, str]:
    return {name: "Y" if is_yes(wanted[name]) else "N" for name in _FLAGS if name in wanted}


@TABLE.add("crm.type.update", scope="crm", any_case=False)
def type_update(call: Call) -> dict[str, Any]:
    call.require_admin()
    found, wanted = _found(call), call.require_map("fields")
    found.title = str(wanted.get("title") or found.title)
    found.flags |= _flags(wanted)
    return {"type": _type(call, found)}


@TABLE.add("crm.type.delete", scope="crm", any_case=False)
def type_delete(call: Call) -> list[Any]:
    """Only a process without elements goes."""
    call.require_admin()
    found = _found(call)
    if call.site.smart.items[found.type_id]:
        raise RestError(400, "", "The type has items")
    call.site.smart.delete_type(found.type_id)
    return []
