"""Fields of quotes, invoices and elements of smart processes, and how a write reaches their store.

Source: reference section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from connector.sandbox.bitrix24 import user_fields
from connector.sandbox.bitrix24.entities import Entity, Field, nothing, parent
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.past import meet_invoices
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.smart import FIRST_DYNAMIC, INVOICE, QUOTE, SmartItem
from connector.sandbox.bitrix24.wire import RestError, invalid_argument, item_not_found

_CREATED, _MOVED, _CLOSED, _OTHER_PIPELINE = 1, 2, 3, 5
_SEMANTICS: Final = {"open": "P", "won": "S", "lost": "F"}
#: Attributes of an item that a write may set.
_ATTRS: Final = {"CATEGORY_ID": "category_id", "STAGE_ID": "stage"}


def semantics(site: Site, item: SmartItem) -> str:
    stage = site.smart.stage(item)
    return _SEMANTICS[stage.kind] if stage else "P"


def is_manual(item: SmartItem) -> bool:
    """Whether the amount is typed in by hand instead of following the product rows."""
    return item.fields.get("IS_MANUAL_OPPORTUNITY", "N") == "Y"


def _amount(site: Site, item: SmartItem) -> Decimal:
    if item.rows and not is_manual(item):
        return sum((row.price * row.quantity for row in item.rows), Decimal(0))
    stored = item.fields.get("OPPORTUNITY")
    return stored if isinstance(stored, Decimal) else Decimal(0)


def _flag(name: str, default: str) -> Field:
    return Field(name, "char", read=lambda site, item: item.fields.get(name, default))


def _zero(name: str) -> Field:
    return Field(name, "double", read=lambda site, item: Decimal(0), read_only=True)


_COMMON: Final = (
    Field("ID", "integer", "ID", attr="id", read_only=True),
    Field("TITLE", title="Название"),
    Field("XML_ID", title="Внешний код"),
    Field("CREATED_BY", "user", attr="created_by", read_only=True),
    Field("UPDATED_BY", "user", attr="updated_by", read_only=True),
    Field("MOVED_BY", "user", attr="moved_by", read_only=True),
    Field("CREATED_TIME", "datetime", attr="created_at", read_only=True),
    Field("UPDATED_TIME", "datetime", attr="updated_at", read_only=True),
    Field("MOVED_TIME", "datetime", attr="moved_at", read_only=True),
    Field("STAGE_ID", "crm_status", "Стадия", attr="stage"),
    Field("PREVIOUS_STAGE_ID", "crm_status", attr="previous_stage", read_only=True),
    _flag("OPENED", "Y"),
    Field("BEGINDATE", "date", "Дата начала"),
    Field("CLOSEDATE", "date", "Дата завершения"),
    Field("COMPANY_ID", "crm_company", "Компания", zero=True, settings=parent(4)),
    Field("CONTACT_ID", "crm_contact", "Контакт", zero=True, deprecated=True),
    Field("CONTACT_IDS", "crm_contact", "Контакты", multiple=True),
    Field(
        "MYCOMPANY_ID",
        "crm_company",
        "Реквизиты вашей компании",
        zero=True,
        settings=parent(4, isMyCompany=True, isEmbeddedEditorEnabled=True),
    ),
    Field("OPPORTUNITY", "double", "Сумма", read=_amount),
    _flag("IS_MANUAL_OPPORTUNITY", "N"),
    _zero("TAX_VALUE"),
    Field(
        "CURRENCY_ID",
        "crm_currency",
        "Валюта",
        read=lambda site, item: item.fields.get("CURRENCY_ID", site.portal.currency),
    ),
    Field("SOURCE_ID", "crm_status", "Источник", status_type="SOURCE"),
    Field("SOURCE_DESCRIPTION"),
    Field(
        "ASSIGNED_BY_ID",
        "user",
        "Ответственный",
        read=lambda site, item: item.fields.get("ASSIGNED_BY_ID") or item.created_by,
    ),
    Field("OBSERVERS", "user", multiple=True),
    Field("LAST_ACTIVITY_BY", "user", attr="updated_by", read_only=True),
    Field("LAST_ACTIVITY_TIME", "datetime", attr="updated_at", read_only=True),
    Field("WEBFORM_ID", "integer"),
    *(Field(f"UTM_{part}") for part in ("SOURCE", "MEDIUM", "CAMPAIGN", "CONTENT", "TERM")),
)
_CATEGORY: Final = Field("CATEGORY_ID", "crm_category", "Воронка", attr="category_id")
_PARENTS: Final = tuple(
    Field(f"PARENT_ID_{kind}", "crm_entity", settings=parent(kind)) for kind in (1, 2, 3, 4, 7, 31)
)

_INVOICE_ONLY: Final = (
    _CATEGORY,
    Field(
        "ACCOUNT_NUMBER",
        title="Номер",
        read=lambda site, item: item.fields.get("ACCOUNT_NUMBER", str(item.id)),
    ),
    Field("COMMENTS", title="Комментарий"),
    Field("LOCATION_ID", "location"),
    *_PARENTS,
)
_QUOTE_ONLY: Final = (
    Field(
        "QUOTE_NUMBER", title="Номер", read=lambda site, item: item.fields.get("QUOTE_NUMBER", str(item.id))
    ),
    Field(
        "CLOSED",
        "char",
        read=lambda site, item: "N" if semantics(site, item) == "P" else "Y",
        read_only=True,
    ),
    Field("LEAD_ID", "crm_lead"),
    Field("DEAL_ID", "crm_deal"),
    Field("PERSON_TYPE_ID", "integer"),
    Field("ACTUAL_DATE", "date"),
    *(
        Field(name)
        for name in ("CONTENT", "CONTENT_TYPE", "TERMS", "TERMS_TYPE", "COMMENTS", "COMMENTS_TYPE")
    ),
    Field("LOCATION_ID", "location"),
    *map(nothing, ("hasProducts", "storageTypeId")),
    Field("STORAGE_ELEMENT_IDS", "integer", multiple=True, read=lambda site, item: [], read_only=True),
    *(Field(f"CLIENT_{part}") for part in ("TITLE", "ADDR", "CONTACT", "EMAIL", "PHONE", "TP_ID", "TPA_ID")),
    *_PARENTS,
)
_DYNAMIC_ONLY: Final = (
    _CATEGORY,
    Field("OPPORTUNITY_ACCOUNT", "double", read=_amount, read_only=True),
    _zero("TAX_VALUE_ACCOUNT"),
    Field(
        "ACCOUNT_CURRENCY_ID", "crm_currency", read=lambda site, item: site.portal.currency, read_only=True
    ),
    *_PARENTS,
)


def code_of(type_id: int) -> str:
    """The kind's name as other parts of the API spell it."""
    return {QUOTE: "quote", INVOICE: "smart_invoice"}.get(type_id, f"dynamic_{type_id}")


def _fields(type_id: int, site: Site) -> dict[str, Field]:
    own = {QUOTE: _QUOTE_ONLY, INVOICE: _INVOICE_ONLY}.get(type_id, _DYNAMIC_ONLY)
    return {f.name: f for f in (*_COMMON, *own, *user_fields.of(site, code_of(type_id)))}


def _all(type_id: int, site: Site) -> Iterable[SmartItem]:
    with site.portal.lock:
        if type_id == INVOICE:
            meet_invoices(site)
        return [item for _, item in sorted(site.smart.all(type_id).items())]


def _find(type_id: int, site: Site, number: int) -> SmartItem | None:
    if type_id == INVOICE:
        meet_invoices(site)
    return site.smart.all(type_id).get(number)


def _save(type_id: int, site: Site, item: SmartItem | None, values: dict[str, Any], by: int) -> SmartItem:
    now = site.now()
    is_new = item is None
    if item is None:
        main = next(iter(site.smart.pipelines(type_id).values()))
        number = site.portal.new_id(f"smart_{type_id}")
        item = SmartItem(number, type_id, main.id, main.stages[0].code, by, by, by, now, now, now)
        values.setdefault("TITLE", f"{'Предложение' if type_id == QUOTE else 'Элемент'} №{number}")
    changed = _changed(type_id, site, item, values)
    if not is_new and changed == item:
        return item
    changed.updated_at, changed.updated_by = now, by
    moved = (changed.category_id, changed.stage) != (item.category_id, item.stage)
    if moved and not is_new:
        changed.moved_at, changed.moved_by, changed.previous_stage = now, by, item.stage
    site.smart.put(changed)
    if is_new or moved:
        site.smart.note_move(
            changed, _kind_of_move(site, None if is_new else item, changed), semantics(site, changed)
        )
    tell(site, changed, "ADD" if is_new else "UPDATE", by)
    return changed


def _kind_of_move(site: Site, before: SmartItem | None, after: SmartItem) -> int:
    if before is None:
        return _CREATED
    if before.category_id != after.category_id:
        return _OTHER_PIPELINE
    return _MOVED if semantics(site, after) == "P" else _CLOSED


def _changed(type_id: int, site: Site, item: SmartItem, values: dict[str, Any]) -> SmartItem:
    """A copy with the values; a pipeline without a stage of its own starts at its first."""
    copy = replace(item, fields=dict(item.fields), rows=list(item.rows))
    pipelines = site.smart.pipelines(type_id)
    pipeline = pipelines.get(values.get("CATEGORY_ID", item.category_id))
    if pipeline is None:
        raise invalid_argument(f"Category {values['CATEGORY_ID']} not found")
    if pipeline.id != item.category_id:
        values.setdefault("STAGE_ID", pipeline.stages[0].code)
    stage = values.get("STAGE_ID", item.stage)
    if all(known.code != stage for known in pipeline.stages):
        text = f"Value of field STAGE_ID is not valid: {stage}"
        raise RestError(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", text)
    copy.category_id, copy.stage = pipeline.id, stage
    known_fields = _fields(type_id, site)
    for name, value in values.items():
        if name not in _ATTRS and known_fields[name].value(site, item) != value:
            copy.fields[name] = value
    return copy


def set_rows(site: Site, item: SmartItem, rows: list[Any], by: int) -> SmartItem:
    """Replace the product rows of an item."""
    changed = replace(item, rows=rows, updated_at=site.now(), updated_by=by)
    site.smart.put(changed)
    tell(site, changed, "UPDATE", by)
    return changed


def tell(site: Site, item: SmartItem, verb: str, by: int) -> None:
    """Quotes have events of their own; all others one name for all and one for their type."""
    if item.type_id == QUOTE:
        site.events.tell(Notice(f"ONCRMQUOTE{verb}", {"FIELDS": {"ID": item.id}}, by, system=False))
        return
    data = {"FIELDS": {"ID": item.id, "ENTITY_TYPE_ID": item.type_id}}
    for suffix in ("", f"_{item.type_id}"):
        site.events.tell(Notice(f"ONCRMDYNAMICITEM{verb}{suffix}", data, by, system=False))


def _delete(type_id: int, site: Site, number: int, by: int) -> None:
    item = site.smart.remove(type_id, number)
    if item is None:
        raise item_not_found()
    tell(site, item, "DELETE", by)


def entity_for(type_id: int) -> Entity:
    """The kind as the methods of `crm.item.*` see it."""
    short = {QUOTE: "Q", INVOICE: "SI"}.get(type_id, f"T{type_id:x}")
    return Entity(
        type_id,
        code_of(type_id),
        short,
        partial(_fields, type_id),
        partial(_all, type_id),
        partial(_find, type_id),
        partial(_save, type_id),
        partial(_delete, type_id),
    )


#: Fields of a quote that the classic methods call otherwise.
_CLASSIC_QUOTE: Final = {
    "STAGE_ID": "STATUS_ID",
    "CREATED_BY": "CREATED_BY_ID",
    "UPDATED_BY": "MODIFY_BY_ID",
    "CREATED_TIME": "DATE_CREATE",
    "UPDATED_TIME": "DATE_MODIFY",
}


def classic_quote() -> Entity:
    """A quote as `crm.quote.*` sees it (names of the fields recalled, unverified)."""
    entity = entity_for(QUOTE)
    names = {classic: own for own, classic in _CLASSIC_QUOTE.items()}

    def classic_fields(site: Site) -> dict[str, Field]:
        renamed = (
            replace(f, name=_CLASSIC_QUOTE.get(f.name, f.name), camel=f.universal_name)
            for f in entity.fields(site).values()
        )
        return {f.name: f for f in renamed}

    def save(site: Site, item: SmartItem | None, values: dict[str, Any], by: int) -> SmartItem:
        return _save(QUOTE, site, item, {names.get(name, name): v for name, v in values.items()}, by)

    return replace(entity, fields=classic_fields, save=save)


def is_dynamic(type_id: int) -> bool:
    return type_id >= FIRST_DYNAMIC
