"""`crm.item.*`: one set of methods for all kinds of CRM objects, camelCase and real numbers.

Source: reference section 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of, selected
from connector.sandbox.bitrix24.deals import DEAL, is_foreign_stage
from connector.sandbox.bitrix24.entities import (
    Entity,
    Field,
    describe_universal,
    parse_value,
    universal_columns,
    universal_fields,
    universal_value,
)
from connector.sandbox.bitrix24.kinds import find_entity
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.smart import INVOICE, QUOTE, stage_directory
from connector.sandbox.bitrix24.wire import RestError, invalid_argument, is_yes, item_not_found, parse_int

TABLE = MethodTable()

_OLD_INVOICE = 5


def _entity(call: Call) -> Entity:
    type_id = parse_int(call.require("entityTypeId"))
    if type_id == _OLD_INVOICE:
        raise RestError(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type INVOICE is not supported")
    entity = find_entity(call.site, type_id or 0)
    if entity is None:
        raise RestError(400, "NOT_FOUND", "SPA not found")
    return entity


def _original(call: Call) -> bool:
    return is_yes(call.params.get("useOriginalUfNames", "N"))


def _found(call: Call, entity: Entity) -> Any:
    obj = entity.find(call.site, parse_int(call.require("id")) or 0)
    if obj is None:
        raise item_not_found()
    return obj


def _present(call: Call, entity: Entity, obj: Any, names: list[str] | None = None) -> dict[str, Any]:
    fields = universal_fields(call.site, entity, original_user_fields=_original(call))
    whole = names is None or "*" in names
    wanted = fields
    if names is not None and not whole:
        wanted = {name: f for name, f in fields.items() if name in names or f.name in names}
    item = {name: universal_value(call.site, f, f.value(call.site, obj)) for name, f in wanted.items()}
    if not whole and "contactIds" in item and not call.site.switches.named_contacts_are_filled:
        item["contactIds"] = []
    if whole:
        item |= {"fm": _fm(call, entity, obj)} if _multifields(call, entity) else {}
        item["entityTypeId"] = entity.type_id
    return item


def _multifields(call: Call, entity: Entity) -> dict[str, Field]:
    return {n: f for n, f in entity.fields(call.site).items() if f.type == "crm_multifield"}


def _fm(call: Call, entity: Entity, obj: Any) -> list[dict[str, Any]]:
    return [entry for f in _multifields(call, entity).values() for entry in f.value(call.site, obj)]


def _values(call: Call, entity: Entity, *, adding: bool) -> dict[str, Any]:
    """Parsed values by classic name; unknown and read-only names are left out without a word."""
    fields = universal_fields(call.site, entity, original_user_fields=_original(call))
    values: dict[str, Any] = {}
    for name, value in call.require_map("fields").items():
        known = fields.get(name)
        if known is not None and not known.read_only:
            values[known.name] = parse_value(call.site, known, value)
        elif name == "fm":
            values |= _fm_values(call, entity, value, adding=adding)
    return values


def _fm_values(call: Call, entity: Entity, value: Any, *, adding: bool) -> dict[str, Any]:
    """`fm` by type. Adding: entries. Changing: key n0 adds, a numeric key changes; no typeId, no effect."""
    given = value.items() if isinstance(value, Mapping) else enumerate(as_list(value))
    is_change = isinstance(value, Mapping) and not adding
    entries = [
        {**entry, "id": key} if is_change and str(key).isdigit() else entry
        for key, entry in given
        if isinstance(entry, Mapping)
    ]
    known = _multifields(call, entity)
    result: dict[str, Any] = {}
    for entry in entries:
        kind = str(entry.get("typeId"))
        if kind in known:
            result.setdefault(kind, []).append(dict(entry))
    return result


@TABLE.add("crm.item.add", scope="crm", any_case=False)
def item_add(call: Call) -> dict[str, Any]:
    entity = _entity(call)
    values = _values(call, entity, adding=True)
    return {"item": _present(call, entity, entity.save(call.site, None, values, call.user_id))}


@TABLE.add("crm.item.get", scope="crm", any_case=False)
def item_get(call: Call) -> dict[str, Any]:
    entity = _entity(call)
    return {"item": _present(call, entity, _found(call, entity))}


@TABLE.add("crm.item.list", scope="crm", any_case=False)
def item_list(call: Call) -> Page:
    entity = _entity(call)
    names = selected(call) or None
    if names is not None and "*" not in names:
        names = ["id", *names]
    return page_of(
        call,
        list(entity.all(call.site)),
        universal_columns(call.site, entity, original_user_fields=_original(call)),
        lambda rows: {"items": [_present(call, entity, obj, names) for obj in rows]},
        ascending_by="id",
    )


@TABLE.add("crm.item.update", scope="crm", any_case=False)
def item_update(call: Call) -> dict[str, Any]:
    entity = _entity(call)
    obj = _found(call, entity)
    values = _values(call, entity, adding=False)
    if entity is DEAL:
        _check_move(call, obj, values)
    return {"item": _present(call, entity, entity.save(call.site, obj, values, call.user_id))}


def _check_move(call: Call, deal: Any, values: dict[str, Any]) -> None:
    """A move to another pipeline needs a stage of it; without one the deal starts at the first."""
    pipeline_id = values.get("CATEGORY_ID", deal.pipeline_id)
    pipeline = call.site.portal.pipelines.get(pipeline_id)
    if pipeline is None:
        raise invalid_argument(f"Category {pipeline_id} not found")
    if values.get("STAGE_ID", "") is None:
        del values["STAGE_ID"]  # an empty stage is none at all
    if "STAGE_ID" not in values and pipeline_id != deal.pipeline_id:
        values["STAGE_ID"] = min(pipeline.stages, key=lambda s: s.sort).code
    if is_foreign_stage(call.site, pipeline_id, values.get("STAGE_ID")):
        text = f"Value of field STAGE_ID is not valid: {values['STAGE_ID']}"
        raise RestError(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", text)


@TABLE.add("crm.item.delete", scope="crm", any_case=False)
def item_delete(call: Call) -> list[Any]:
    entity = _entity(call)
    entity.delete(call.site, _found(call, entity).id, call.user_id)
    return []


@TABLE.add("crm.item.fields", scope="crm", any_case=False)
def item_fields(call: Call) -> dict[str, Any]:
    entity = _entity(call)
    fields = universal_fields(call.site, entity, original_user_fields=_original(call))
    described = {name: describe_universal(f) for name, f in fields.items()}
    if entity.type_id in call.site.smart.types or entity.type_id in (QUOTE, INVOICE):
        main = next(iter(call.site.smart.pipelines(entity.type_id).values()))
        for name in ("stageId", "previousStageId"):
            described[name]["statusType"] = stage_directory(entity.type_id, main.id)
    return {"fields": described}
