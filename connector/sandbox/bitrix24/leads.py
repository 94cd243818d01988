"""The lead (type 1): an enquiry not yet a deal. The shared portal knows none, so they live in the `Site`.

Source: reference section 4.4. There is no way over REST to convert one.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from connector.sandbox.bitrix24 import user_fields
from connector.sandbox.bitrix24.clients import ADDRESS_PARTS, MULTIFIELDS, shortcuts
from connector.sandbox.bitrix24.entities import (
    Entity,
    Field,
    apply_multifield,
    nothing,
    parent,
    read_multifield,
)
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.site import Lead, Site
from connector.sandbox.bitrix24.wire import item_not_found

#: Code, name, semantics of the lead's stages.
STAGES = (
    ("NEW", "Не обработан", ""),
    ("IN_PROCESS", "В работе", ""),
    ("PROCESSED", "Обработан", ""),
    ("CONVERTED", "Качественный лид", "S"),
    ("JUNK", "Некачественный лид", "F"),
)


def _semantics(site: Site, lead: Lead) -> str:
    code = lead.fields.get("STATUS_ID", "NEW")
    return next((semantics for known, _, semantics in STAGES if known == code), "") or "P"


def _multifield(name: str) -> Field:
    read = read_multifield("lead", name)
    return Field(name, "crm_multifield", name, multiple=True, universal=False, read=read)


def _has(name: str, type_: str) -> Field:
    read = read_multifield("lead", type_)
    return Field(name, "char", read=lambda site, lead: "Y" if read(site, lead) else "N", read_only=True)


def _flag(name: str, default: str) -> Field:
    return Field(name, "char", read=lambda site, lead: lead.fields.get(name, default))


def _closed_at(site: Site, lead: Lead) -> Any:
    return None if _semantics(site, lead) == "P" else lead.fields.get("MOVED_TIME")


FIELDS = (
    Field("ID", "integer", "ID", attr="id", read_only=True),
    Field("TITLE", title="Название лида"),
    Field("HONORIFIC", "crm_status", status_type="HONORIFIC"),
    Field("NAME", title="Имя"),
    Field("SECOND_NAME", title="Отчество"),
    Field("LAST_NAME", title="Фамилия"),
    Field("BIRTHDATE", "date"),
    Field("COMPANY_TITLE", title="Название компании"),
    Field("SOURCE_ID", "crm_status", "Источник", status_type="SOURCE"),
    Field("SOURCE_DESCRIPTION"),
    Field(
        "STATUS_ID",
        "crm_status",
        "Стадия",
        camel="stageId",
        read=lambda site, lead: lead.fields.get("STATUS_ID", "NEW"),
        status_type="STATUS",
    ),
    Field("STATUS_DESCRIPTION"),
    Field("STATUS_SEMANTIC_ID", camel="stageSemanticId", read=_semantics, read_only=True),
    Field("POST", title="Должность"),
    Field("ADDRESS", title="Адрес"),
    Field(
        "CURRENCY_ID",
        "crm_currency",
        read=lambda site, lead: lead.fields.get("CURRENCY_ID", site.portal.currency),
    ),
    Field("OPPORTUNITY", "double", read=lambda site, lead: lead.fields.get("OPPORTUNITY") or Decimal(0)),
    _flag("IS_MANUAL_OPPORTUNITY", "N"),
    _flag("OPENED", "Y"),
    Field("COMMENTS", title="Комментарий"),
    _has("HAS_PHONE", "PHONE"),
    _has("HAS_EMAIL", "EMAIL"),
    _has("HAS_IMOL", "IMOL"),
    Field(
        "ASSIGNED_BY_ID", "user", read=lambda site, lead: lead.fields.get("ASSIGNED_BY_ID") or lead.created_by
    ),
    Field("CREATED_BY_ID", "user", camel="createdBy", attr="created_by", read_only=True),
    Field("MODIFY_BY_ID", "user", camel="updatedBy", attr="created_by", read_only=True),
    Field("DATE_CREATE", "datetime", camel="createdTime", attr="created_at", read_only=True),
    Field("DATE_MODIFY", "datetime", camel="updatedTime", attr="updated_at", read_only=True),
    Field("MOVED_BY_ID", "user", camel="movedBy", read_only=True),
    Field("MOVED_TIME", "datetime", read_only=True),
    Field("DATE_CLOSED", "datetime", read=_closed_at, read_only=True),
    _flag("IS_RETURN_CUSTOMER", "N"),
    *(Field(f"ADDRESS_{part}", universal=False) for part in ADDRESS_PARTS),
    Field("LAST_ACTIVITY_TIME", "datetime", attr="updated_at", read_only=True),
    Field("LAST_ACTIVITY_BY", "user", attr="created_by", read_only=True),
    Field("COMPANY_ID", "crm_company", zero=True, settings=parent(4)),
    Field("CONTACT_ID", "crm_contact", zero=True, deprecated=True),
    Field("CONTACT_IDS", "crm_contact", multiple=True),
    Field("ORIGINATOR_ID"),
    Field("ORIGIN_ID"),
    *(Field(f"UTM_{part}") for part in ("SOURCE", "MEDIUM", "CAMPAIGN", "CONTENT", "TERM")),
    *map(_multifield, MULTIFIELDS),
    *shortcuts("lead"),
    Field("OBSERVERS", "user", multiple=True, classic=False),
    Field("WEBFORM_ID", "integer", read=lambda site, lead: 0, read_only=True, classic=False),
    *map(
        nothing,
        (
            "dateCreateShort",
            "dateModifyShort",
            "isConvert",
            "productId",
            "shortName",
            "login",
            "searchContent",
            "skype",
            "icq",
        ),
    ),
)


def _save(site: Site, lead: Lead | None, values: dict[str, Any], by: int) -> Lead:
    now = site.now()
    with site.portal.lock:
        is_new = lead is None
        if lead is None:
            lead = Lead(site.portal.new_id("lead"), now, now, by)
            site.leads[lead.id] = lead
        before, old_status = dict(lead.fields), lead.fields.get("STATUS_ID", "NEW")
        for name, value in values.items():
            if name in MULTIFIELDS:
                texts, kinds = apply_multifield(read_multifield("lead", name)(site, lead), value, name)
                lead.fields |= {f"{name}_VALUES": texts, **kinds}
            else:
                lead.fields[name] = value
        if not lead.fields.get("TITLE"):
            lead.fields["TITLE"] = f"Лид №{lead.id}"
        if not is_new and lead.fields == before:
            return lead
        lead.updated_at = now
        status = lead.fields.get("STATUS_ID", "NEW")
        if is_new or status != old_status:
            lead.fields["MOVED_TIME"], lead.fields["MOVED_BY_ID"] = now, by
            _note_move(site, lead, status, is_new=is_new)
    verb = "ADD" if is_new else "UPDATE"
    site.events.tell(Notice(f"ONCRMLEAD{verb}", {"FIELDS": {"ID": lead.id}}, by, system=False))
    return lead


def _note_move(site: Site, lead: Lead, status: str, *, is_new: bool) -> None:
    """A line of stage history: 1 created, 2 moved, 3 moved to a final stage."""
    semantics = _semantics(site, lead)
    kind = 1 if is_new else 2 if semantics == "P" else 3
    site.smart.note(LEAD.type_id, lead.id, lead.updated_at, kind, 0, status, semantics)


def _delete(site: Site, lead_id: int, by: int) -> None:
    if site.leads.pop(lead_id, None) is None:
        raise item_not_found()
    site.events.tell(Notice("ONCRMLEADDELETE", {"FIELDS": {"ID": lead_id}}, by, system=False))


def _all(site: Site) -> Iterable[Lead]:
    return list(site.leads.values())


LEAD = Entity(
    1,
    "lead",
    "L",
    lambda site: {f.name: f for f in (*FIELDS, *user_fields.of(site, "lead"))},
    _all,
    lambda site, lead_id: site.leads.get(lead_id),
    _save,
    _delete,
)
