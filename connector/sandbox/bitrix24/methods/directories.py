"""Pipelines, stages, sources and other directories. Source: reference sections 4.1 and 4.5."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from connector.sandbox.bitrix24.call import PAGE_SIZE, Call, MethodTable, Page
from connector.sandbox.bitrix24.filters import Column, Columns, compile_filter, sort_rows
from connector.sandbox.bitrix24.leads import STAGES as LEAD_STAGES
from connector.sandbox.bitrix24.methods.items import ENTITIES
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError, not_found, parse_int
from connector.sandbox.state import Pipeline, Stage

TABLE = MethodTable()

_DEAL = 2

#: ENTITY_ID → (STATUS_ID, NAME) of the directories that nothing in the portal feeds.
_DIRECTORIES: Final = {
    "DEAL_TYPE": (("SALE", "Продажа"), ("COMPLEX", "Комплексная продажа"), ("SERVICES", "Услуги")),
    "CONTACT_TYPE": (("CLIENT", "Клиенты"), ("SUPPLIER", "Поставщики"), ("PARTNER", "Партнёры")),
    "COMPANY_TYPE": (("CUSTOMER", "Клиент"), ("SUPPLIER", "Поставщик"), ("PARTNER", "Партнёр")),
    "INDUSTRY": (("IT", "Информационные технологии"), ("OTHER", "Другое")),
    "EMPLOYEES": (("EMPLOYEES_1", "менее 50"), ("EMPLOYEES_2", "50–250")),
    "HONORIFIC": (("HNR_RU_1", "г-н"), ("HNR_RU_2", "г-жа")),
}

_EXTRA_SEMANTICS: Final = {"": "process", "S": "success", "F": "failure"}


def ordered_pipelines(site: Site) -> list[Pipeline]:
    with site.portal.lock:
        return sorted(site.portal.pipelines.values(), key=lambda p: (p.sort, p.id))


def _stages(pipeline: Pipeline) -> list[Stage]:
    return sorted(pipeline.stages, key=lambda s: s.sort)


def _stage_entity(pipeline_id: int) -> str:
    return f"DEAL_STAGE_{pipeline_id}" if pipeline_id else "DEAL_STAGE"


@TABLE.add("crm.category.list", scope="crm", any_case=False)
def category_list(call: Call) -> Page:
    if parse_int(call.require("entityTypeId")) != _DEAL:
        raise RestError(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type does not support categories")
    rows = [_category(pipeline) for pipeline in ordered_pipelines(call.site)]
    return Page({"categories": rows}, total=len(rows))


@TABLE.add("crm.category.get", scope="crm", any_case=False)
def category_get(call: Call) -> dict[str, Any]:
    pipeline = call.site.portal.pipelines.get(call.id())
    if parse_int(call.require("entityTypeId")) != _DEAL or pipeline is None:
        raise RestError(400, "NOT_FOUND", "Category not found")
    return {"category": _category(pipeline)}


def _category(pipeline: Pipeline) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": pipeline.id,
        "name": pipeline.name,
        "sort": pipeline.sort,
        "entityTypeId": _DEAL,
        "isDefault": "N" if pipeline.id else "Y",
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
def dealcategory_stages(call: Call) -> list[dict[str, Any]]:
    pipeline = call.site.portal.pipelines.get(call.id())
    if pipeline is None:
        raise not_found()
    return [{"NAME": s.name, "SORT": s.sort, "STATUS_ID": s.code} for s in _stages(pipeline)]


@TABLE.add("crm.dealcategory.status", scope="crm")
def dealcategory_status(call: Call) -> str:
    return _stage_entity(call.id())


def _old_category(call: Call, pipeline: Pipeline) -> dict[str, Any]:
    return {
        "ID": str(pipeline.id),
        "CREATED_DATE": "2020-01-15T12:00:00+03:00",
        "NAME": pipeline.name,
        "IS_LOCKED": "N",
        "SORT": str(pipeline.sort),
    }


@TABLE.add("crm.status.list", scope="crm")
def status_list(call: Call) -> Page:
    """All rows at once: this list does not page."""
    rows = list(_statuses(call.site))

    def find(name: str) -> Column:
        return Column("integer" if name in {"ID", "SORT"} else "string", lambda row: _cell(row, name))

    columns = Columns(find, strict=False, zone=call.site.zone)
    matches = compile_filter(call.params.get("filter"), columns)
    found = sort_rows([row for row in rows if matches(row)], as_map(call.params.get("order")), columns)
    return Page(found, total=len(found))


def _cell(row: dict[str, Any], name: str) -> Any:
    value = row.get(name)
    return parse_int(value) if name in {"ID", "SORT"} else value


def _statuses(site: Site) -> Iterator[dict[str, Any]]:
    for place, (code, name, semantics) in enumerate(LEAD_STAGES, 1):
        yield _status(site, "STATUS", code, name, place * 10, semantics, "#39A8EF", is_system=True)
    for place, (code, name) in enumerate(site.portal.channels.items(), 1):
        yield _status(site, "SOURCE", code, name, place * 10)
    for entity_id, rows in _DIRECTORIES.items():
        for place, (code, name) in enumerate(rows, 1):
            yield _status(site, entity_id, code, name, place * 10)
    for pipeline in ordered_pipelines(site):
        for stage in _stages(pipeline):
            semantics = {"open": "", "won": "S", "lost": "F"}[stage.kind]
            bare = stage.code.rpartition(":")[2]
            row = _status(
                site,
                _stage_entity(pipeline.id),
                stage.code,
                stage.name,
                stage.sort,
                semantics,
                stage.color,
                is_system=bare in {"NEW", "WON", "LOSE"},
                category_id=pipeline.id,
            )
            if bare == "APOLOGY":
                row["EXTRA"]["SEMANTICS"] = "apology"
            yield row


def _status(
    site: Site,
    entity_id: str,
    code: str,
    name: str,
    sort: int,
    semantics: str | None = None,
    color: str = "",
    *,
    is_system: bool = False,
    category_id: int = 0,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "ID": str(site.number_of("status", entity_id, code, start=101)),
        "ENTITY_ID": entity_id,
        "STATUS_ID": code,
        "NAME": name,
        "NAME_INIT": name if is_system else "",
        "SORT": str(sort),
        "SYSTEM": "Y" if is_system else "N",
        "CATEGORY_ID": str(category_id) if category_id else None,
        "COLOR": color or None,
        "SEMANTICS": semantics or None,
    }
    if semantics is not None:
        row["EXTRA"] = {"SEMANTICS": _EXTRA_SEMANTICS[semantics], "COLOR": color}
    return row


@TABLE.add("crm.status.entity.types", scope="crm")
def status_entity_types(call: Call) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"ID": "STATUS", "NAME": "Стадии лида"},
        {"ID": "SOURCE", "NAME": "Источники"},
    ]
    rows += [{"ID": entity_id, "NAME": entity_id} for entity_id in _DIRECTORIES]
    for pipeline in ordered_pipelines(call.site):
        row: dict[str, Any] = {"ID": _stage_entity(pipeline.id), "NAME": f"Стадии сделки: {pipeline.name}"}
        if pipeline.id:
            row |= {"PARENT_ID": "DEAL_STAGE", "PREFIX": f"C{pipeline.id}", "CATEGORY_ID": pipeline.id}
        rows.append({**row, "ENTITY_TYPE_ID": _DEAL})
    return rows


@TABLE.add("crm.enum.ownertype", scope="crm")
def enum_ownertype(call: Call) -> list[dict[str, Any]]:
    rows = (
        (1, "Лид", "LEAD", "L"),
        (2, "Сделка", "DEAL", "D"),
        (3, "Контакт", "CONTACT", "C"),
        (4, "Компания", "COMPANY", "CO"),
        (5, "Счёт (старая версия)", "INVOICE", "I"),
        (31, "Счёт", "SMART_INVOICE", "SI"),
        (7, "Предложение", "QUOTE", "Q"),
        (8, "Реквизиты", "REQUISITE", "RQ"),
        (36, "Документ", "SMART_DOCUMENT", "DO"),
    )
    keys = ("ID", "NAME", "SYMBOL_CODE", "SYMBOL_CODE_SHORT")
    return [dict(zip(keys, row, strict=True)) for row in rows]


@TABLE.add("crm.currency.list", scope="crm")
def currency_list(call: Call) -> Page:
    code = call.site.portal.currency
    row = {
        "CURRENCY": code,
        "AMOUNT_CNT": "1",
        "AMOUNT": "1.0000",
        "SORT": "100",
        "BASE": "Y",
        "FULL_NAME": "Российский рубль" if code == "RUB" else code,
        "LID": "ru",
        "FORMAT_STRING": "# ₽" if code == "RUB" else f"# {code}",
        "DEC_POINT": ".",
        "THOUSANDS_SEP": None,
        "DECIMALS": "2",
        "DATE_UPDATE": "2020-01-15T12:00:00+03:00",
    }
    return Page([row], total=1)


@TABLE.add("crm.currency.base.get", scope="crm")
def currency_base(call: Call) -> str:
    return call.site.portal.currency


@TABLE.add("crm.settings.mode.get", scope="crm")
def settings_mode(call: Call) -> int:
    """1: the classic CRM with leads; 2 would be the simple one."""
    return 1


@TABLE.add("crm.duplicate.findbycomm", scope="crm")
def duplicate_find(call: Call) -> dict[str, list[int]]:
    """Ids by kind of object that have one of the phones or e-mails; at most 20 values."""
    type_ = str(call.require("type")).upper()
    if type_ not in {"PHONE", "EMAIL"}:
        raise RestError(400, "", "Communication type is not defined or not supported")
    values = call.params.get("values")
    wanted = {_normal(type_, value) for value in (values if isinstance(values, list) else [values]) if value}
    if len(wanted) > 20:
        raise RestError(400, "", "Too many values, the limit is 20")
    only = str(call.params.get("entity_type") or "").upper()
    found: dict[str, list[int]] = {}
    for entity in ENTITIES.values():
        field_ = entity.fields(call.site).get(type_)
        if field_ is None or (only and entity.code.upper() != only):
            continue
        ids = [
            obj.id
            for obj in entity.all(call.site)
            if wanted & {_normal(type_, entry["value"]) for entry in field_.value(call.site, obj)}
        ]
        if ids:
            found[entity.code.upper()] = ids[:PAGE_SIZE]
    return found


def _normal(type_: str, value: Any) -> str:
    text = str(value).strip().lower()
    if type_ == "EMAIL":
        return text
    digits = "".join(char for char in text if char.isdigit())
    return "7" + digits[1:] if len(digits) == 11 and digits[0] == "8" else digits
