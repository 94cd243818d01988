"""Stages, sources and other directories: `crm.status.*` and what stands beside them.

Source: reference sections 4.1 and 4.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page
from connector.sandbox.bitrix24.filters import Column, Columns, compile_filter, sort_rows
from connector.sandbox.bitrix24.leads import LEAD
from connector.sandbox.bitrix24.leads import STAGES as LEAD_STAGES
from connector.sandbox.bitrix24.methods.categories import ordered_pipelines, stage_entity, stages_of
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.smart import INVOICE, QUOTE, stage_directory
from connector.sandbox.bitrix24.wire import parse_int
from connector.sandbox.state import Pipeline

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

_DIRECTORY_NAMES: Final = {
    "CONTACT_TYPE": "Тип контакта",
    "COMPANY_TYPE": "Тип компании",
    "EMPLOYEES": "Кол-во сотрудников",
    "INDUSTRY": "Сфера деятельности",
    "DEAL_TYPE": "Тип сделки",
    "HONORIFIC": "Обращения",
    "CALL_LIST": "Статусы обзвона",
}

_SYSTEM_STAGES: Final = frozenset({"NEW", "WON", "LOSE", "SUCCESS", "FAIL", "N", "P", "D"})

_EXTRA_SEMANTICS: Final = {"": "process", "S": "success", "F": "failure"}


@TABLE.add("crm.status.list", scope="crm")
def status_list(call: Call) -> Page:
    """All rows at once: this list does not page."""
    rows = list(rows_of(call.site))

    def find(name: str) -> Column:
        return Column("integer" if name in {"ID", "SORT"} else "string", lambda row: _cell(row, name))

    columns = Columns(find, strict=False, zone=call.site.zone)
    matches = compile_filter(call.params.get("filter"), columns)
    found = sort_rows([row for row in rows if matches(row)], as_map(call.params.get("order")), columns)
    return Page(found, total=len(found))


def _cell(row: dict[str, Any], name: str) -> Any:
    value = row.get(name)
    return parse_int(value) if name in {"ID", "SORT"} else value


def rows_of(site: Site) -> Iterator[dict[str, Any]]:
    for place, (code, name, semantics) in enumerate(LEAD_STAGES, 1):
        yield _status(site, "STATUS", code, name, place * 10, semantics, "#39A8EF", is_system=True)
    for place, (code, name) in enumerate(site.portal.channels.items(), 1):
        yield _status(site, "SOURCE", code, name, place * 10)
    for entity_id, rows in _DIRECTORIES.items():
        for place, (code, name) in enumerate(rows, 1):
            yield _status(site, entity_id, code, name, place * 10)
    for entity_id, code, name, sort in site.own_statuses.values():
        yield _status(site, entity_id, code, name, sort)
    for directory, pipeline in stage_directories(site):
        for stage in stages_of(pipeline):
            semantics = {"open": "", "won": "S", "lost": "F"}[stage.kind]
            bare = stage.code.rpartition(":")[2]
            row = _status(
                site,
                directory,
                stage.code,
                stage.name,
                stage.sort,
                semantics,
                stage.color,
                is_system=bare in _SYSTEM_STAGES,
                category_id=pipeline.id,
            )
            if bare == "APOLOGY":
                row["EXTRA"]["SEMANTICS"] = "apology"
            yield row


def stage_directories(site: Site) -> Iterator[tuple[str, Pipeline]]:
    """Pipelines of all kinds with the ENTITY_ID of their stages."""
    for pipeline in ordered_pipelines(site):
        yield stage_entity(pipeline.id), pipeline
    for type_id in (QUOTE, INVOICE, *sorted(site.smart.types)):
        for pipeline in site.smart.pipelines(type_id).values():
            yield stage_directory(type_id, pipeline.id), pipeline


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
    """All directories; those of stages tell their first, won and lost stage, of smart processes nothing."""
    lead_stages = {"START_FIELD": "NEW", "FINAL_SUCCESS_FIELD": "CONVERTED", "FINAL_UNSUCCESS_FIELD": "JUNK"}
    rows: list[dict[str, Any]] = [
        {
            "ID": "STATUS",
            "NAME": "Стадии лида",
            "SEMANTIC_INFO": {**lead_stages, "FINAL_SORT": 0},
            "ENTITY_TYPE_ID": LEAD.type_id,
        },
        {"ID": "SOURCE", "NAME": "Источники"},
    ]
    rows += [{"ID": entity_id, "NAME": name} for entity_id, name in _DIRECTORY_NAMES.items()]
    for pipeline in ordered_pipelines(call.site):
        row: dict[str, Any] = {"ID": stage_entity(pipeline.id), "NAME": f"Стадии сделки: {pipeline.name}"}
        if pipeline.id:
            row |= {"PARENT_ID": "DEAL_STAGE"}
        row |= {"SEMANTIC_INFO": _semantic_info(pipeline)}
        row |= {"PREFIX": f"C{pipeline.id}"} if pipeline.id else {}
        row |= {"FIELD_ATTRIBUTE_SCOPE": f"category_{pipeline.id}" if pipeline.id else ""}
        # The first pipeline's number is a number, the others' a string.
        category = str(pipeline.id) if pipeline.id else 0
        rows.append({**row, "ENTITY_TYPE_ID": _DEAL, "CATEGORY_ID": category})
    (quote,) = call.site.smart.pipelines(QUOTE).values()
    rows.append(
        {
            "ID": stage_directory(QUOTE, quote.id),
            "NAME": "Стадии предложения",
            "SEMANTIC_INFO": _semantic_info(quote),
            "ENTITY_TYPE_ID": QUOTE,
        }
    )
    for type_id in (INVOICE, *sorted(call.site.smart.types)):
        for place, pipeline in enumerate(call.site.smart.pipelines(type_id).values()):
            row = {
                "ID": stage_directory(type_id, pipeline.id),
                "NAME": "Стадии счёта",
                "SEMANTIC_INFO": {},
                "PREFIX": f"DT{type_id}_{pipeline.id}",
                "FIELD_ATTRIBUTE_SCOPE": f"category_{pipeline.id}",
                "ENTITY_TYPE_ID": type_id,
                "IS_ENABLED": True,
                "CATEGORY_ID": pipeline.id,
            }
            if type_id != INVOICE:
                row |= {
                    "NAME": f"{call.site.smart.types[type_id].title} ({pipeline.name})",
                    "CATEGORY_NAME": pipeline.name,
                    "CATEGORY_SORT": pipeline.sort,
                    "IS_DEFAULT_CATEGORY": place == 0,
                }
            rows.append(row)
    return rows


@TABLE.add("crm.status.entity.items", scope="crm")
def status_entity_items(call: Call) -> list[dict[str, Any]]:
    """Rows of one directory, in short (shape recalled, unverified)."""
    wanted = str(call.require("entityId"))
    rows = [row for row in rows_of(call.site) if row["ENTITY_ID"] == wanted]
    return [{"NAME": row["NAME"], "SORT": int(row["SORT"]), "STATUS_ID": row["STATUS_ID"]} for row in rows]


def _semantic_info(pipeline: Pipeline) -> dict[str, Any]:
    ordered = sorted(pipeline.stages, key=lambda stage: stage.sort)

    def first(kind: str) -> str:
        return next((stage.code for stage in ordered if stage.kind == kind), "")

    return {
        "START_FIELD": first("open"),
        "FINAL_SUCCESS_FIELD": first("won"),
        "FINAL_UNSUCCESS_FIELD": first("lost"),
        "FINAL_SORT": 0,
    }


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
    own = (
        (t.type_id, t.title, f"DYNAMIC_{t.type_id}", f"T{t.type_id:x}")
        for t in call.site.smart.types.values()
    )
    return [dict(zip(keys, row, strict=True)) for row in (*rows, *own)]


@TABLE.add("crm.enum.contenttype", scope="crm")
def enum_content_type(call: Call) -> list[dict[str, Any]]:
    """What DESCRIPTION_TYPE means; the tutorial on e-mails swaps 2 and 3 (unverified)."""
    rows = ((1, "Обычный текст", "PLAIN_TEXT"), (2, "bbCode", "BBCODE"), (3, "HTML", "HTML"))
    return [{"ID": number, "NAME": name, "SYMBOL_CODE": code} for number, name, code in rows]


@TABLE.add("crm.enum.activitytype", scope="crm")
def enum_activity_type(call: Call) -> list[dict[str, Any]]:
    rows = ((1, "Встреча"), (2, "Звонок"), (3, "Задача"), (4, "Письмо"), (6, "Пользовательское действие"))
    return [{"ID": number, "NAME": name} for number, name in rows]


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
    """1: the classic CRM with leads; 2: the simple one."""
    return 2 if call.site.switches.simple_crm else 1
