"""`crm.status.add/get/update/delete`: stages and entries of directories made over REST.

Source: reference section 4.5. Errors of this group have an empty code.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.methods.directories import rows_of, stage_directories
from connector.sandbox.bitrix24.wire import classic_error, not_found, parse_int
from connector.sandbox.state import Pipeline, Stage

TABLE = MethodTable()

_MAX_CODE: Final = 50


def _row(call: Call) -> dict[str, Any]:
    number = str(call.id())
    for row in rows_of(call.site):
        if row["ID"] == number:
            return row
    raise not_found()


def _pipeline(call: Call, entity_id: str) -> Pipeline | None:
    return next((p for directory, p in stage_directories(call.site) if directory == entity_id), None)


@TABLE.add("crm.status.get", scope="crm")
def status_get(call: Call) -> dict[str, Any]:
    return _row(call)


@TABLE.add("crm.status.fields", scope="crm")
def status_fields(call: Call) -> dict[str, Any]:
    names = ("ID", "ENTITY_ID", "STATUS_ID", "NAME", "SORT", "SYSTEM", "COLOR", "SEMANTICS", "CATEGORY_ID")
    only_read = {"ID", "SYSTEM", "CATEGORY_ID"}
    return {
        name: {
            "type": "integer" if name in {"ID", "SORT", "CATEGORY_ID"} else "string",
            "isRequired": name in {"ENTITY_ID", "STATUS_ID", "NAME"},
            "isReadOnly": name in only_read,
            "isImmutable": name in {"ENTITY_ID", "STATUS_ID"},
        }
        for name in names
    }


@TABLE.add("crm.status.add", scope="crm")
def status_add(call: Call) -> int:
    """The code gets the directory's prefix by itself; a stage of one's own stands before the success."""
    call.require_admin()
    wanted = call.require_map("fields")
    entity_id, name = str(wanted.get("ENTITY_ID") or ""), str(wanted.get("NAME") or "")
    bare = str(wanted.get("STATUS_ID") or f"UC_{secrets.token_hex(3).upper()}")
    if not entity_id or not name:
        raise classic_error("The required field is not filled")
    if len(bare) > _MAX_CODE:
        raise classic_error("The code of the status is too long")
    pipeline = _pipeline(call, entity_id)
    if pipeline is None:
        code = bare
        if entity_id not in {row["ENTITY_ID"] for row in rows_of(call.site)} or entity_id == "STATUS":
            raise classic_error("Specified entity type is not supported")
    else:
        prefix = pipeline.stages[0].code.rpartition(":")[0]
        code = f"{prefix}:{bare.rpartition(':')[2]}" if prefix else bare
    if any((row["ENTITY_ID"], row["STATUS_ID"]) == (entity_id, code) for row in rows_of(call.site)):
        raise classic_error("The status with that code already exists")
    sort = parse_int(wanted.get("SORT", 10)) or 10
    if pipeline is not None:
        _add_stage(call, pipeline, code, name, sort, str(wanted.get("COLOR") or "#ACE9FB"), wanted)
    elif entity_id == "SOURCE":
        call.site.portal.channels[code] = name
    else:
        call.site.own_statuses[call.site.portal.new_id("own_status")] = (entity_id, code, name, sort)
    return call.site.number_of("status", entity_id, code, start=101)


def _add_stage(
    call: Call, pipeline: Pipeline, code: str, name: str, sort: int, color: str, wanted: dict[str, Any]
) -> None:
    kind = "lost" if str(wanted.get("SEMANTICS") or "").upper() == "F" else "open"
    success = min((s.sort for s in pipeline.stages if s.kind == "won"), default=10**9)
    if kind == "open" and sort >= success:
        raise classic_error("The stage must stand before the successful one")
    pipeline.stages.append(Stage(code, pipeline.id, name, sort, kind, color))
    call.site.portal.revision += 1


@TABLE.add("crm.status.update", scope="crm")
def status_update(call: Call) -> bool:
    call.require_admin()
    row, wanted = _row(call), call.require_map("fields")
    name = str(wanted.get("NAME") or row["NAME"])
    sort = parse_int(wanted.get("SORT", row["SORT"])) or 0
    pipeline = _pipeline(call, row["ENTITY_ID"])
    if pipeline is not None:
        stage = next(s for s in pipeline.stages if s.code == row["STATUS_ID"])
        stage.name, stage.sort, stage.color = name, sort, str(wanted.get("COLOR") or stage.color)
        call.site.portal.revision += 1
    elif row["ENTITY_ID"] == "SOURCE":
        call.site.portal.channels[row["STATUS_ID"]] = name
    else:
        key = _own_key(call, row)
        call.site.own_statuses[key] = (row["ENTITY_ID"], row["STATUS_ID"], name, sort)
    return True


@TABLE.add("crm.status.delete", scope="crm")
def status_delete(call: Call) -> bool:
    """System rows stay; a stage with objects on it stays too."""
    call.require_admin()
    row = _row(call)
    if row["SYSTEM"] == "Y":
        raise classic_error("A system status cannot be deleted")
    pipeline = _pipeline(call, row["ENTITY_ID"])
    if pipeline is not None:
        code = row["STATUS_ID"]
        if any(deal.stage == code and not deal.is_deleted for deal in call.site.portal.deals.values()):
            raise classic_error("There are items on the stage")
        pipeline.stages[:] = [s for s in pipeline.stages if s.code != code]
        call.site.portal.revision += 1
    elif row["ENTITY_ID"] == "SOURCE":
        del call.site.portal.channels[row["STATUS_ID"]]
    else:
        del call.site.own_statuses[_own_key(call, row)]
    return True


def _own_key(call: Call, row: dict[str, Any]) -> int:
    for key, (entity_id, code, _, _) in call.site.own_statuses.items():
        if (entity_id, code) == (row["ENTITY_ID"], row["STATUS_ID"]):
            return key
    raise classic_error("A system status cannot be changed")
