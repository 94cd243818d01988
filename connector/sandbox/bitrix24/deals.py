"""The deal (type 2): its fields and how a write reaches the portal.

Source: reference sections 4.2 and 4.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connector.sandbox.bitrix24 import user_fields
from connector.sandbox.bitrix24.entities import Entity, Field, nothing, parent
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import item_not_found
from connector.sandbox.state import Deal, UnknownEntity

_UTM = ("source", "medium", "campaign", "content", "term")


def source_code(site: Site, deal: Deal) -> str | None:
    """Code of the deal's source in the SOURCE directory."""
    if deal.channel is None or deal.channel in site.portal.channels:
        return deal.channel
    return next((code for code, name in site.portal.channels.items() if name == deal.channel), deal.channel)


def begin_day(site: Site, deal: Deal) -> date:
    stored = deal.fields.get("BEGINDATE")
    return stored if isinstance(stored, date) else site.local_day(deal.created_at)


def close_day(site: Site, deal: Deal) -> date | None:
    """On closing the day of it, unless given; before, whatever was planned."""
    stored = deal.fields.get("CLOSEDATE")
    if isinstance(stored, date):
        return stored
    return site.local_day(deal.closed_at) if deal.closed_at else None


def moved_time(site: Site, deal: Deal) -> datetime:
    moves = site.moves.of(deal.id)
    return moves[-1].at if moves else deal.created_at


def moved_by(site: Site, deal: Deal) -> int:
    moves = site.moves.of(deal.id)
    return moves[-1].by if moves else deal.created_by


def is_manual(deal: Deal) -> bool:
    """Whether the amount is typed in by hand instead of following the product rows."""
    return bool(deal.fields.get("IS_MANUAL_OPPORTUNITY", "N") == "Y")


def rows_total(deal: Deal) -> Decimal:
    return sum((row.price * row.quantity for row in deal.rows), Decimal(0))


def _semantics(site: Site, deal: Deal) -> str:
    return site.semantics(deal.pipeline_id, deal.stage)


def _is_new(site: Site, deal: Deal) -> str:
    pipeline = site.portal.pipelines.get(deal.pipeline_id)
    first = min(pipeline.stages, key=lambda s: s.sort) if pipeline and pipeline.stages else None
    return "Y" if first and first.code == deal.stage else "N"


def _flag(name: str, default: str) -> Field:
    return Field(name, "char", read=lambda site, deal: deal.fields.get(name, default))


def _utm(part: str) -> Field:
    name = f"UTM_{part.upper()}"
    return Field(name, title=name, read=lambda site, deal: deal.utm.get(part) or None)


FIELDS = (
    Field("ID", "integer", "ID", attr="id", read_only=True),
    Field("TITLE", title="Название", attr="name"),
    Field("TYPE_ID", "crm_status", "Тип", status_type="DEAL_TYPE"),
    Field("CATEGORY_ID", "crm_category", "Воронка", attr="pipeline_id", immutable=True),
    Field("STAGE_ID", "crm_status", "Стадия сделки", attr="stage", status_type="DEAL_STAGE"),
    Field("STAGE_SEMANTIC_ID", title="Группа стадии", read=_semantics, read_only=True),
    Field("IS_NEW", "char", "Новая сделка", read=_is_new, read_only=True),
    _flag("IS_RECURRING", "N"),
    _flag("IS_RETURN_CUSTOMER", "N"),
    _flag("IS_REPEATED_APPROACH", "N"),
    Field("PROBABILITY", "integer", "Вероятность"),
    Field("CURRENCY_ID", "crm_currency", "Валюта", attr="currency"),
    Field("OPPORTUNITY", "double", "Сумма", read=lambda site, deal: deal.amount or Decimal(0)),
    _flag("IS_MANUAL_OPPORTUNITY", "N"),
    Field("TAX_VALUE", "double", "Ставка налога", read=lambda site, deal: Decimal(0)),
    Field("COMPANY_ID", "crm_company", "Компания", attr="company_id", zero=True, settings=parent(4)),
    Field(
        "CONTACT_ID",
        "crm_contact",
        "Контакт",
        read=lambda site, deal: deal.contact_ids[0] if deal.contact_ids else None,
        zero=True,
        deprecated=True,
    ),
    Field("CONTACT_IDS", "crm_contact", "Контакты", attr="contact_ids", multiple=True),
    Field("QUOTE_ID", "crm_quote", "Предложение", read_only=True, settings=parent(7)),
    Field("LEAD_ID", "crm_lead", "Лид", read_only=True, settings=parent(1)),
    Field("BEGINDATE", "date", "Дата начала", read=begin_day),
    Field("CLOSEDATE", "date", "Предполагаемая дата закрытия", read=close_day),
    _flag("OPENED", "Y"),
    Field(
        "CLOSED",
        "char",
        "Закрыта",
        read=lambda s, deal: "N" if _semantics(s, deal) == "P" else "Y",
        read_only=True,
    ),
    Field("COMMENTS", title="Комментарий"),
    Field("ASSIGNED_BY_ID", "user", "Ответственный", attr="responsible_id"),
    Field("CREATED_BY_ID", "user", "Кем создана", camel="createdBy", attr="created_by", read_only=True),
    Field("MODIFY_BY_ID", "user", "Кем изменена", camel="updatedBy", attr="updated_by", read_only=True),
    Field("MOVED_BY_ID", "user", "Кем перемещена", camel="movedBy", read=moved_by, read_only=True),
    Field("DATE_CREATE", "datetime", "Дата создания", camel="createdTime", attr="created_at", read_only=True),
    Field(
        "DATE_MODIFY", "datetime", "Дата изменения", camel="updatedTime", attr="updated_at", read_only=True
    ),
    Field("MOVED_TIME", "datetime", "Дата перемещения", read=moved_time, read_only=True),
    Field("SOURCE_ID", "crm_status", "Источник", read=source_code, status_type="SOURCE"),
    Field("SOURCE_DESCRIPTION", title="Дополнительно об источнике"),
    Field("ADDITIONAL_INFO", title="Дополнительная информация"),
    Field("LOCATION_ID", "location", "Местоположение"),
    Field("ORIGINATOR_ID", title="Внешний источник"),
    Field("ORIGIN_ID", title="Идентификатор элемента во внешнем источнике"),
    *(_utm(part) for part in _UTM),
    Field("LAST_ACTIVITY_TIME", "datetime", "Последняя активность", attr="updated_at", read_only=True),
    Field("LAST_ACTIVITY_BY", "user", "Автор последней активности", attr="updated_by", read_only=True),
    Field("OBSERVERS", "user", "Наблюдатели", multiple=True, classic=False),
    *map(
        nothing,
        (
            "dateCreateShort",
            "dateModifyShort",
            "productId",
            "begindateShort",
            "closedateShort",
            "eventDate",
            "eventDateShort",
            "eventId",
            "eventDescription",
            "webformId",
            "searchContent",
            "orderStage",
            "isWork",
            "isWon",
            "isLose",
            "receivedAmount",
            "lostAmount",
            "hasProducts",
        ),
    ),
)


def _fields(site: Site) -> dict[str, Field]:
    return {f.name: f for f in (*FIELDS, *user_fields.of(site, "deal"))}


def _all(site: Site) -> Iterable[Deal]:
    with site.portal.lock:
        rows = site.portal.deals.rows
        return site.portal.queries.rows(
            "live deals", lambda: [deal for deal in rows() if not deal.is_deleted]
        )


def _find(site: Site, deal_id: int) -> Deal | None:
    deal = site.portal.deals.get(deal_id)
    return None if deal is None or deal.is_deleted else deal


def _save(site: Site, deal: Deal | None, values: dict[str, Any], by: int) -> Deal:
    if deal is None:
        deal = _blank(site, values, by)
        changes = _changes(site, deal, values)
        for name, value in changes.items():
            setattr(deal, name, value)
        return site.portal.add_deal(deal, by=by)
    changes = _changes(site, deal, values)
    if is_foreign_stage(site, changes.get("pipeline_id", deal.pipeline_id), changes.get("stage")):
        del changes["stage"]
    return site.portal.update_deal(deal.id, changes, by=by)


def is_foreign_stage(site: Site, pipeline_id: int, stage: str | None) -> bool:
    """Whether the stage is none of that pipeline's."""
    return stage is not None and site.stage_of(pipeline_id, stage) is None


def _blank(site: Site, values: dict[str, Any], by: int) -> Deal:
    main = next((p.id for p in site.portal.pipelines.values() if p.is_main), 0)
    wanted = values.pop("CATEGORY_ID", None)
    pipeline = site.portal.pipelines.get(wanted if wanted is not None else main)
    if pipeline is None or not pipeline.stages:
        raise item_not_found()
    stage = values.pop("STAGE_ID", None)
    if is_foreign_stage(site, pipeline.id, stage) or stage is None:
        stage = min(pipeline.stages, key=lambda s: s.sort).code
    title = values.pop("TITLE", None) or "Сделка"
    return Deal(0, title, pipeline.id, stage, None, site.portal.currency, by)


def _changes(site: Site, deal: Deal, values: dict[str, Any]) -> dict[str, Any]:
    """Values by classic name as changes of the portal's attributes."""
    changes: dict[str, Any] = {}
    extras = dict(deal.fields)
    utm = dict(deal.utm)
    manual = values.get("IS_MANUAL_OPPORTUNITY", deal.fields.get("IS_MANUAL_OPPORTUNITY", "N")) == "Y"
    known = _fields(site)
    for name, value in values.items():
        if name in known and known[name].value(site, deal) == value:
            continue
        if name == "OPPORTUNITY":
            if manual or not deal.rows:
                changes["amount"] = value
        elif name == "CONTACT_ID":
            others = [c for c in deal.contact_ids if c != value]
            changes["contact_ids"] = [value, *others] if value else []
        elif name == "SOURCE_ID":
            changes["channel"] = value
        elif name == user_fields.LOSS_REASON:
            changes["loss_reason_id"] = value
        elif name.startswith("UTM_"):
            utm[name[4:].lower()] = value or ""
        elif name in _ATTRS:
            changes[_ATTRS[name]] = value
        else:
            extras[user_fields.stored_name(site, name)] = value
    if "IS_MANUAL_OPPORTUNITY" in values and not manual and deal.rows:
        changes["amount"] = rows_total(deal)
    return {**changes, "fields": extras, "utm": {part: text for part, text in utm.items() if text}}


_ATTRS = {f.name: f.attr for f in FIELDS if f.attr and not f.read_only}


def _delete(site: Site, deal_id: int, by: int) -> None:
    try:
        site.portal.delete_deal(deal_id, by=by)
    except UnknownEntity:
        raise item_not_found() from None


DEAL = Entity(2, "deal", "D", _fields, _all, _find, _save, _delete)
