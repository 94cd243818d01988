"""User fields as records: `crm.{entity}.userfield.*`, `userfieldconfig.*`. Source: reference section 4.9."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from connector.sandbox.bitrix24 import user_fields
from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.kinds import CLASSIC
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.smart_fields import code_of
from connector.sandbox.bitrix24.wire import RestError, is_yes, parse_int

TABLE = MethodTable()

TYPES: Final = (
    *("string", "integer", "double", "boolean", "date", "datetime", "money", "url", "address"),
    *("enumeration", "file", "employee", "crm", "crm_status", "iblock_section", "iblock_element"),
)
_CODE: Final = re.compile(r"[A-Z0-9_]{1,43}")
_NOT_KEPT: Final = frozenset({"FIELD_NAME", "ENTITY_ID", "USER_TYPE_ID", "MULTIPLE", "LIST"})


def _error(text: str) -> RestError:
    return RestError(400, "ERROR_CORE", text)


def entity_name(site: Site, code: str) -> str:
    """ENTITY_ID of a kind: `CRM_DEAL`; of a smart process by the id of its record, not its type."""
    if code.startswith("dynamic_"):
        made = site.smart.types.get(int(code[8:]))
        return f"CRM_{made.id if made else 0}"
    return f"CRM_{code.upper()}"


def _code_by_name(site: Site, name: str) -> str:
    """The kind behind `CRM_DEAL` or `CRM_7`."""
    for code in (*(entity.code for entity in CLASSIC.values()), "quote", "smart_invoice", "requisite"):
        if entity_name(site, code) == name:
            return code
    for made in site.smart.types.values():
        if f"CRM_{made.id}" == name:
            return code_of(made.type_id)
    raise RestError(400, "INVALID_ARG_VALUE", "Unknown entityId")


def number_of(site: Site, code: str, name: str) -> int:
    return site.number_of("userfield", code, name)


def _label(wanted: Mapping[str, Any], name: str) -> str:
    label = wanted.get("EDIT_FORM_LABEL") or wanted.get("LABEL") or name
    if isinstance(label, Mapping):
        label = label.get("ru") or next((text for text in label.values() if text), name)
    return str(label)


def _list(site: Site, wanted: Mapping[str, Any], present: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items of an enumeration: those with an ID change or go (DEL), those without are new."""
    items = {str(item["ID"]): dict(item) for item in present}
    for entry in (as_map(item) for item in as_list(wanted.get("LIST"))):
        key = str(entry.get("ID") or "")
        if is_yes(entry.get("DEL", "N")):
            items.pop(key, None)
        elif key in items:
            items[key]["VALUE"] = str(entry.get("VALUE", items[key]["VALUE"]))
        else:
            number = site.portal.new_id("enum", 1001)
            items[str(number)] = {"ID": number, "VALUE": str(entry.get("VALUE") or "")}
            items[str(number)]["XML_ID"] = str(entry.get("XML_ID") or "")
    return list(items.values())


def add_field(call: Call, code: str, wanted: Mapping[str, Any]) -> str:
    """Make a field; its full name. Errors as texts with ERROR_CORE."""
    call.require_admin()
    bare = str(wanted.get("FIELD_NAME") or "").upper().removeprefix("UF_CRM_")
    if not _CODE.fullmatch(bare):
        raise _error("The field FIELD_NAME is not filled or has wrong characters")
    name, kind = f"UF_CRM_{bare}", str(wanted.get("USER_TYPE_ID") or "string")
    if kind not in TYPES:
        raise _error(f"Wrong user field type: {kind}")
    if any(f.name == name for f in user_fields.of(call.site, code)):
        raise _error(f"Field {name} for object {entity_name(call.site, code)} already exists.")
    call.site.own_user_fields[name] = {
        "ENTITY": code,
        "USER_TYPE_ID": kind,
        "MULTIPLE": "Y" if is_yes(wanted.get("MULTIPLE", "N")) else "N",
        "LABEL": _label(wanted, name),
        "LIST": _list(call.site, wanted, []),
        "MORE": {key: value for key, value in wanted.items() if key not in _NOT_KEPT},
    }
    _tell(call, code, name, "ADD")
    if kind == "enumeration":
        _tell(call, code, name, "SETENUMVALUES")
    return name


def change_field(call: Call, code: str, name: str, wanted: Mapping[str, Any]) -> None:
    call.require_admin()
    made = call.site.own_user_fields[name]
    made["LABEL"] = _label(wanted, made["LABEL"])
    made["MORE"] |= {key: value for key, value in wanted.items() if key not in _NOT_KEPT}
    if "LIST" in wanted:
        made["LIST"] = _list(call.site, wanted, made["LIST"])
        _tell(call, code, name, "SETENUMVALUES")
    _tell(call, code, name, "UPDATE")


def drop_field(call: Call, code: str, name: str) -> None:
    call.require_admin()
    del call.site.own_user_fields[name]
    _tell(call, code, name, "DELETE")


def _tell(call: Call, code: str, name: str, verb: str) -> None:
    if code not in {"deal", "lead", "contact", "company", "quote", "requisite"}:
        return
    fields = {
        "ID": number_of(call.site, code, name),
        "ENTITY_ID": entity_name(call.site, code),
        "FIELD_NAME": name,
    }
    event = f"ONCRM{code.upper()}USERFIELD{verb}"
    call.site.events.tell(Notice(event, {"FIELDS": fields}, call.user_id, system=False))


def rows_of(site: Site, code: str) -> list[dict[str, Any]]:
    """All fields of a kind as classic records."""
    rows = []
    for field_ in user_fields.of(site, code):
        row = user_fields.describe(site, field_, number_of(site, code, field_.name), code)
        row["ENTITY_ID"] = entity_name(site, code)
        more = site.own_user_fields.get(field_.name, {}).get("MORE", {})
        row |= {key: more[key] for key in ("MANDATORY", "SHOW_FILTER", "XML_ID", "SORT") if key in more}
        if isinstance(more.get("SETTINGS"), Mapping) and more["SETTINGS"]:
            row["SETTINGS"] = more["SETTINGS"]
        rows.append(row)
    return rows


def _named(call: Call, code: str) -> dict[str, Any]:
    number = str(call.id())
    for row in rows_of(call.site, code):
        if row["ID"] == number:
            return row
    raise RestError(400, "ERROR_NOT_FOUND", "The entity with that ID is not found")


def _own(call: Call, code: str) -> str:
    name = str(_named(call, code)["FIELD_NAME"])
    if name not in call.site.own_user_fields:
        raise _error("The field came with the portal's data and cannot be changed here")
    return name


def _classic_add(code: str, call: Call) -> int:
    return number_of(call.site, code, add_field(call, code, call.require_map("fields")))


def _classic_get(code: str, call: Call) -> dict[str, Any]:
    return _named(call, code)


def _classic_list(code: str, call: Call) -> Page:
    rows = rows_of(call.site, code)
    wanted = {str(k).lstrip("="): str(v) for k, v in as_map(call.params.get("filter")).items()}
    rows = [row for row in rows if all(str(row.get(name)) == value for name, value in wanted.items())]
    return Page(rows, total=len(rows))


def _classic_update(code: str, call: Call) -> bool:
    change_field(call, code, _own(call, code), call.require_map("fields"))
    return True


def _classic_delete(code: str, call: Call) -> bool:
    drop_field(call, code, _own(call, code))
    return True


_VERBS: Final = {
    "add": _classic_add,
    "get": _classic_get,
    "list": _classic_list,
    "update": _classic_update,
    "delete": _classic_delete,
}
for _code in ("lead", "deal", "contact", "company", "quote", "requisite"):
    for _verb, _run in _VERBS.items():
        TABLE.add(f"crm.{_code}.userfield.{_verb}", scope="crm")(partial(_run, _code))


def _upper(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).upper()


def _from_config(field: Mapping[str, Any]) -> dict[str, Any]:
    """`field` of userfieldconfig in classic spelling."""
    wanted = {_upper(name): value for name, value in field.items()}
    if "ENUM" in wanted:
        wanted["LIST"] = [
            {_upper(key): value for key, value in as_map(item).items()}
            for item in as_list(wanted.pop("ENUM"))
        ]
    return wanted


def _to_config(row: Mapping[str, Any]) -> dict[str, Any]:
    labels = ("EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL", "ERROR_MESSAGE", "HELP_MESSAGE")
    result: dict[str, Any] = {}
    for name, value in row.items():
        key = _camel(name)
        if name == "LIST":
            result["enum"] = [
                {
                    "id": item["ID"],
                    "userFieldId": row["ID"],
                    "value": item["VALUE"],
                    "def": item["DEF"],
                    "sort": item["SORT"],
                    "xmlId": item["XML_ID"],
                }
                for item in value
            ]
        else:
            result[key] = {"ru": value} if name in labels else value
    return {**result, "languageId": {"ru": "ru"}}


def _camel(name: str) -> str:
    head, *tail = name.lower().split("_")
    return head + "".join(part.capitalize() for part in tail)


def _check_module(call: Call) -> None:
    if str(call.require("moduleId")) != "crm":
        raise RestError(400, "INVALID_ARG_VALUE", "Module is not supported")


def _all_rows(call: Call) -> list[tuple[str, dict[str, Any]]]:
    kinds = ["lead", "deal", "contact", "company", "quote", "smart_invoice"]
    kinds += [code_of(type_id) for type_id in call.site.smart.types]
    return [(code, row) for code in kinds for row in rows_of(call.site, code)]


def _by_id(call: Call) -> tuple[str, dict[str, Any]]:
    _check_module(call)
    number = str(call.id())
    for code, row in _all_rows(call):
        if row["ID"] == number:
            return code, row
    raise RestError(400, "ERROR_NOT_FOUND", "User field is not found")


@TABLE.add("userfieldconfig.add", scope="userfieldconfig", any_case=False)
def config_add(call: Call) -> dict[str, Any]:
    _check_module(call)
    field = call.require_map("field")
    code = _code_by_name(call.site, str(field.get("entityId") or ""))
    wanted = _from_config(field)
    name = str(wanted.get("FIELD_NAME") or "").upper()
    prefix = f"UF_{entity_name(call.site, code)}_" if code.startswith("dynamic_") else "UF_CRM_"
    if not name.startswith(prefix):
        raise RestError(400, "INVALID_ARG_VALUE", f"The field name must begin with {prefix}")
    wanted["FIELD_NAME"] = name
    add_field(call, code, wanted)
    row = next(row for row in rows_of(call.site, code) if row["FIELD_NAME"] == name)
    return {"field": _to_config(row)}


@TABLE.add("userfieldconfig.get", scope="userfieldconfig", any_case=False)
def config_get(call: Call) -> dict[str, Any]:
    return {"field": _to_config(_by_id(call)[1])}


@TABLE.add("userfieldconfig.list", scope="userfieldconfig", any_case=False)
def config_list(call: Call) -> Page:
    _check_module(call)
    rows = [_to_config(row) for _, row in _all_rows(call)]

    def find(name: str) -> Column:
        if name == "id":
            return Column("integer", lambda row: parse_int(row["id"]))
        return Column("string", lambda row: row.get(name))

    columns = Columns(find, strict=False, zone=call.site.zone)
    return page_of(call, rows, columns, lambda page: {"fields": page}, default_order={"id": "ASC"})


@TABLE.add("userfieldconfig.update", scope="userfieldconfig", any_case=False)
def config_update(call: Call) -> dict[str, Any]:
    code, row = _by_id(call)
    name = str(row["FIELD_NAME"])
    if name not in call.site.own_user_fields:
        raise _error("The field came with the portal's data and cannot be changed here")
    change_field(call, code, name, _from_config(call.require_map("field")))
    return {"field": _to_config(_by_id(call)[1])}


@TABLE.add("userfieldconfig.delete", scope="userfieldconfig", any_case=False)
def config_delete(call: Call) -> None:
    code, row = _by_id(call)
    if row["FIELD_NAME"] not in call.site.own_user_fields:
        raise _error("The field came with the portal's data and cannot be changed here")
    drop_field(call, code, str(row["FIELD_NAME"]))


@TABLE.add("userfieldconfig.gettypes", scope="userfieldconfig", any_case=False)
def config_types(call: Call) -> dict[str, Any]:
    _check_module(call)
    return {"fields": {name: {"userTypeId": name, "description": name} for name in TYPES}}
