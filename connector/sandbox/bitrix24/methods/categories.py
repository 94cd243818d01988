"""Pipelines of all kinds, `crm.category.*`, and the old spelling for deals, `crm.dealcategory.*`.

Source: reference section 4.5.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.smart import INVOICE
from connector.sandbox.bitrix24.wire import RestError, not_found, parse_int
from connector.sandbox.state import Pipeline, Stage

TABLE = MethodTable()

_DEAL: Final = 2
#: Code, name, kind, colour of the stages that a new pipeline of deals starts with.
_NEW_STAGES: Final = (
    ("NEW", "Новая", "open", "#39A8EF"),
    ("PREPARATION", "Подготовка документов", "open", "#2FC6F6"),
    ("PREPAYMENT_INVOICE", "Счёт на предоплату", "open", "#55D0E0"),
    ("EXECUTING", "В работе", "open", "#47E4C2"),
    ("FINAL_INVOICE", "Финальный счёт", "open", "#FFA900"),
    ("WON", "Сделка успешна", "won", "#7BD500"),
    ("LOSE", "Сделка провалена", "lost", "#FF5752"),
    ("APOLOGY", "Анализ причины провала", "lost", "#FF5752"),
)


def ordered_pipelines(site: Site) -> list[Pipeline]:
    """Pipelines of deals."""
    with site.portal.lock:
        return sorted(site.portal.pipelines.values(), key=lambda p: (p.sort, p.id))


def stages_of(pipeline: Pipeline) -> list[Stage]:
    return sorted(pipeline.stages, key=lambda s: s.sort)


def stage_entity(pipeline_id: int) -> str:
    """ENTITY_ID of the stages of a pipeline of deals."""
    return f"DEAL_STAGE_{pipeline_id}" if pipeline_id else "DEAL_STAGE"


def _kind(call: Call) -> int:
    """entityTypeId of a kind that has pipelines."""
    type_id = parse_int(call.require("entityTypeId")) or 0
    if type_id not in {_DEAL, INVOICE, *call.site.smart.types}:
        raise RestError(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type does not support categories")
    return type_id


def _pipelines(call: Call, type_id: int) -> dict[int, Pipeline]:
    return call.site.portal.pipelines if type_id == _DEAL else call.site.smart.pipelines(type_id)


def _found(call: Call) -> tuple[int, Pipeline]:
    type_id = _kind(call)
    pipeline = _pipelines(call, type_id).get(call.id())
    if pipeline is None:
        raise RestError(400, "NOT_FOUND", "Category not found")
    return type_id, pipeline


@TABLE.add("crm.category.list", scope="crm", any_case=False)
def category_list(call: Call) -> Page:
    type_id = _kind(call)
    ordered = sorted(_pipelines(call, type_id).values(), key=lambda p: (p.sort, p.id))
    rows = [_category(type_id, pipeline) for pipeline in ordered]
    return Page({"categories": rows}, total=len(rows))


@TABLE.add("crm.category.get", scope="crm", any_case=False)
def category_get(call: Call) -> dict[str, Any]:
    return {"category": _category(*_found(call))}


@TABLE.add("crm.category.add", scope="crm", any_case=False)
def category_add(call: Call) -> dict[str, Any]:
    call.require_admin()
    type_id, wanted = _kind(call), call.require_map("fields")
    name, sort = str(wanted.get("name") or ""), parse_int(wanted.get("sort", 500)) or 500
    if not name:
        raise RestError(400, "CRM_FIELD_ERROR_REQUIRED", "The field «name» is required")
    if type_id != _DEAL:
        return {"category": _category(type_id, call.site.smart.add_pipeline(type_id, name, sort))}
    portal = call.site.portal
    with portal.lock:
        number = max(portal.pipelines, default=0) + 1
        stages = [
            Stage(f"C{number}:{code}", number, title, place * 10, kind, color)
            for place, (code, title, kind, color) in enumerate(_NEW_STAGES, 1)
        ]
        made = portal.pipelines[number] = Pipeline(number, name, sort, stages)
        portal.revision += 1
    return {"category": _category(type_id, made)}


@TABLE.add("crm.category.update", scope="crm", any_case=False)
def category_update(call: Call) -> dict[str, Any]:
    call.require_admin()
    (type_id, pipeline), wanted = _found(call), call.require_map("fields")
    pipeline.name = str(wanted.get("name") or pipeline.name)
    pipeline.sort = parse_int(wanted.get("sort", pipeline.sort)) or pipeline.sort
    call.site.portal.revision += 1
    return {"category": _category(type_id, pipeline)}


@TABLE.add("crm.category.delete", scope="crm", any_case=False)
def category_delete(call: Call) -> None:
    """The default pipeline and one with objects in it stay."""
    call.require_admin()
    type_id, pipeline = _found(call)
    if pipeline.is_main or (type_id == _DEAL and pipeline.id == 0):
        raise RestError(400, "", "The default category cannot be deleted")
    if _is_used(call, type_id, pipeline.id):
        raise RestError(400, "", "The category has items")
    del _pipelines(call, type_id)[pipeline.id]
    call.site.portal.revision += 1


def _is_used(call: Call, type_id: int, pipeline_id: int) -> bool:
    if type_id == _DEAL:
        deals = call.site.portal.deals.values()
        return any(deal.pipeline_id == pipeline_id and not deal.is_deleted for deal in deals)
    return any(item.category_id == pipeline_id for item in call.site.smart.items[type_id].values())


def _category(type_id: int, pipeline: Pipeline) -> dict[str, Any]:
    is_default = not pipeline.id if type_id == _DEAL else pipeline.is_main
    row: dict[str, Any] = {
        "id": pipeline.id,
        "name": pipeline.name,
        "sort": pipeline.sort,
        "entityTypeId": type_id,
        "isDefault": "Y" if is_default else "N",
    }
    return row | ({"originId": "", "originatorId": ""} if pipeline.id else {})


@TABLE.add("crm.dealcategory.list", scope="crm")
def dealcategory_list(call: Call) -> Page:
    """Old spelling; pipeline 0 is missing here."""
    rows = [_old_category(call, pipeline) for pipeline in ordered_pipelines(call.site) if pipeline.id]
    return Page(rows, total=len(rows))


@TABLE.add("crm.dealcategory.get", scope="crm")
def dealcategory_get(call: Call) -> dict[str, Any]:
    pipeline = call.site.portal.pipelines.get(call.id())
    if pipeline is None or not pipeline.id:
        raise not_found()
    return _old_category(call, pipeline)


@TABLE.add("crm.dealcategory.default.get", scope="crm")
def dealcategory_default(call: Call) -> dict[str, Any]:
    pipeline = call.site.portal.pipelines.get(0)
    return {"ID": "0", "NAME": pipeline.name if pipeline else ""}


@TABLE.add("crm.dealcategory.stage.list", scope="crm")
def dealcategorystages_of(call: Call) -> list[dict[str, Any]]:
    pipeline = call.site.portal.pipelines.get(call.id())
    if pipeline is None:
        raise not_found()
    return [{"NAME": s.name, "SORT": s.sort, "STATUS_ID": s.code} for s in stages_of(pipeline)]


@TABLE.add("crm.dealcategory.status", scope="crm")
def dealcategory_status(call: Call) -> str:
    return stage_entity(call.id())


def _old_category(call: Call, pipeline: Pipeline) -> dict[str, Any]:
    return {
        "ID": str(pipeline.id),
        "CREATED_DATE": "2020-01-15T12:00:00+03:00",
        "NAME": pipeline.name,
        "IS_LOCKED": "N",
        "SORT": str(pipeline.sort),
    }
