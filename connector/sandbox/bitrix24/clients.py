"""Contacts (3) and companies (4): their fields and how a write reaches the portal.

Source: reference sections 4.3 and 4.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from connector.sandbox.bitrix24 import user_fields
from connector.sandbox.bitrix24.entities import (
    Entity,
    Field,
    apply_multifield,
    nothing,
    parent,
    read_multifield,
)
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import classic_error, item_not_found
from connector.sandbox.state import Company, Contact, UnknownEntity

MULTIFIELDS: Final = ("PHONE", "EMAIL", "WEB", "IM", "LINK")

#: `ADDRESS_2`, `ADDRESS_CITY` … of leads, contacts and companies.
ADDRESS_PARTS: Final = (
    *("2", "CITY", "POSTAL_CODE", "REGION", "PROVINCE", "COUNTRY", "COUNTRY_CODE", "LOC_ADDR_ID"),
)

_TITLES = {"PHONE": "Телефон", "EMAIL": "E-mail", "WEB": "Сайт", "IM": "Мессенджер", "LINK": "Связь"}


def _multifields(entity: str) -> tuple[Field, ...]:
    return tuple(
        Field(
            name,
            "crm_multifield",
            _TITLES[name],
            multiple=True,
            universal=False,
            read=read_multifield(entity, name),
        )
        for name in MULTIFIELDS
    )


def _first(name: str, type_: str, kind: str, attr: str) -> Field:
    """`phone`, `phoneWork` … of the universal methods; empty text when there is none of the kind."""

    def read(site: Site, obj: Any) -> str:
        entries = read_multifield(attr, type_)(site, obj)
        return next((e["value"] for e in entries if kind in ("", e["valueType"])), "")

    return Field(name, camel=name, read=read, read_only=True, classic=False)


def shortcuts(entity: str) -> tuple[Field, ...]:
    """`phoneWork`, `email`, `imol` … of the universal methods."""
    kinds = {"Mobile": "MOBILE", "Work": "WORK", "Mailing": "MAILING"}
    mail = {"Home": "HOME", "Work": "WORK", "Mailing": "MAILING"}
    phones = (_first(f"phone{name}", "PHONE", kind, entity) for name, kind in kinds.items())
    mails = (_first(f"email{name}", "EMAIL", kind, entity) for name, kind in mail.items())
    return (
        *phones,
        *mails,
        _first("email", "EMAIL", "", entity),
        _first("phone", "PHONE", "", entity),
        _first("imol", "IM", "IMOL", entity),
    )


def _has(name: str, type_: str, entity: str) -> Field:
    read = read_multifield(entity, type_)
    return Field(name, "char", read=lambda site, obj: "Y" if read(site, obj) else "N", read_only=True)


def _flag(name: str, default: str) -> Field:
    return Field(name, "char", read=lambda site, obj: obj.fields.get(name, default))


def _common(entity: str) -> tuple[Field, ...]:
    return (
        _flag("OPENED", "Y"),
        Field("COMMENTS", title="Комментарий"),
        _has("HAS_PHONE", "PHONE", entity),
        _has("HAS_EMAIL", "EMAIL", entity),
        _has("HAS_IMOL", "IMOL", entity),
        Field("ASSIGNED_BY_ID", "user", "Ответственный", attr="responsible_id"),
        Field(
            "CREATED_BY_ID", "user", "Кем создан", camel="createdBy", attr="responsible_id", read_only=True
        ),
        Field(
            "MODIFY_BY_ID", "user", "Кем изменён", camel="updatedBy", attr="responsible_id", read_only=True
        ),
        Field(
            "DATE_CREATE", "datetime", "Дата создания", camel="createdTime", attr="created_at", read_only=True
        ),
        Field(
            "DATE_MODIFY",
            "datetime",
            "Дата изменения",
            camel="updatedTime",
            attr="updated_at",
            read_only=True,
        ),
        Field("LEAD_ID", "crm_lead", "Лид", read_only=True, settings=parent(1)),
        Field("ADDRESS", title="Адрес"),
        *(Field(f"ADDRESS_{part}", universal=False) for part in ADDRESS_PARTS),
        Field("ORIGINATOR_ID", title="Внешний источник"),
        Field("ORIGIN_ID", title="Идентификатор элемента во внешнем источнике"),
        Field("ORIGIN_VERSION", title="Версия оригинала"),
        *(Field(f"UTM_{part}") for part in ("SOURCE", "MEDIUM", "CAMPAIGN", "CONTENT", "TERM")),
        Field("LAST_ACTIVITY_TIME", "datetime", "Последняя активность", attr="updated_at", read_only=True),
        Field("LAST_ACTIVITY_BY", "user", attr="responsible_id", read_only=True),
        Field("OBSERVERS", "user", multiple=True, classic=False),
        Field(
            "LAST_COMMUNICATION_TIME", title="Дата последней коммуникации", read_only=True, universal=False
        ),
        *shortcuts(entity),
        *map(nothing, ("searchContent", "webformId")),
        Field(
            "CATEGORY_ID", "crm_category", "Воронка", read=lambda site, obj: 0, read_only=True, classic=False
        ),
        *_multifields(entity),
    )


CONTACT_FIELDS = (
    Field("ID", "integer", "ID", attr="id", read_only=True),
    Field("HONORIFIC", "crm_status", "Обращение", status_type="HONORIFIC"),
    Field("NAME", title="Имя", attr="name"),
    Field("SECOND_NAME", title="Отчество", attr="second_name"),
    Field("LAST_NAME", title="Фамилия", attr="last_name"),
    Field("PHOTO", "file", "Фотография"),
    Field("BIRTHDATE", "date", "Дата рождения"),
    Field("TYPE_ID", "crm_status", "Тип контакта", status_type="CONTACT_TYPE"),
    Field("SOURCE_ID", "crm_status", "Источник", status_type="SOURCE"),
    Field("SOURCE_DESCRIPTION", title="Дополнительно об источнике"),
    Field("POST", title="Должность", attr="post"),
    _flag("EXPORT", "N"),
    Field("COMPANY_ID", "crm_company", "Компания", attr="company_id", zero=True, deprecated=True),
    Field(
        "COMPANY_IDS",
        "crm_company",
        "Компании",
        read=lambda site, contact: [contact.company_id] if contact.company_id else [],
        multiple=True,
    ),
    *_common("contact"),
    Field("FACE_ID", "integer", read_only=True, universal=False),
    *map(nothing, ("shortName", "login")),
)

COMPANY_FIELDS = (
    Field("ID", "integer", "ID", attr="id", read_only=True),
    Field("TITLE", title="Название компании", attr="name", required=True),
    Field("COMPANY_TYPE", "crm_status", "Тип компании", camel="typeId", status_type="COMPANY_TYPE"),
    Field("LOGO", "file", "Логотип"),
    Field("ADDRESS_LEGAL", title="Юридический адрес"),
    Field("REG_ADDRESS", title="Юридический адрес", universal=False),
    *(Field(f"REG_ADDRESS_{part}", universal=False) for part in ADDRESS_PARTS),
    Field("BANKING_DETAILS", title="Банковские реквизиты"),
    Field("INDUSTRY", "crm_status", "Сфера деятельности", status_type="INDUSTRY"),
    Field("EMPLOYEES", "crm_status", "Кол-во сотрудников", status_type="EMPLOYEES"),
    Field("CURRENCY_ID", "crm_currency", "Валюта"),
    Field("REVENUE", "double", "Годовой оборот"),
    _flag("IS_MY_COMPANY", "N"),
    Field(
        "CONTACT_ID",
        "crm_contact",
        "Контакт",
        camel="contactIds",
        read=lambda site, company: site.portal.index.contacts_of_company.of(company.id),
        multiple=True,
        read_only=True,
    ),
    *_common("company"),
    *map(nothing, ("ufLogo", "ufStamp", "ufDirectorSign", "ufAccountantSign")),
)


def _save_contact(site: Site, contact: Contact | None, values: dict[str, Any], by: int) -> Contact:
    ids = values.pop("COMPANY_IDS", None)
    if ids is not None and "COMPANY_ID" not in values:
        values["COMPANY_ID"] = ids[0] if ids else None
    for name in ("NAME", "SECOND_NAME", "LAST_NAME", "POST"):
        if name in values:
            values[name] = values[name] or ""
    if contact is not None:
        changes = _changes(site, contact, values, CONTACT_FIELDS)
        return _as_contact(site.portal.update("contact", contact.id, changes, by=by))
    if not any(values.get(name) for name in ("NAME", "SECOND_NAME", "LAST_NAME")):
        raise classic_error("The required field «Имя» or «Фамилия» is not filled")
    blank = Contact(0, "", responsible_id=by)
    made = replace(blank, **_changes(site, blank, values, CONTACT_FIELDS))
    return _as_contact(site.portal.add("contact", made, by=by))


def _save_company(site: Site, company: Company | None, values: dict[str, Any], by: int) -> Company:
    if ("TITLE" in values and not values["TITLE"]) or (company is None and "TITLE" not in values):
        raise classic_error("The required field «Название компании» is not filled")
    if company is not None:
        changes = _changes(site, company, values, COMPANY_FIELDS)
        return _as_company(site.portal.update("company", company.id, changes, by=by))
    blank = Company(0, "", responsible_id=by)
    made = replace(blank, **_changes(site, blank, values, COMPANY_FIELDS))
    return _as_company(site.portal.add("company", made, by=by))


def _changes(site: Site, obj: Any, values: dict[str, Any], fields: tuple[Field, ...]) -> dict[str, Any]:
    attrs = {f.name: f.attr for f in fields if f.attr and not f.read_only}
    changes: dict[str, Any] = {}
    extras = dict(obj.fields)
    entity = "contact" if isinstance(obj, Contact) else "company"
    known = {f.name: f for f in fields}
    for name, value in values.items():
        if name not in MULTIFIELDS and name in known and known[name].value(site, obj) == value:
            continue
        if name in MULTIFIELDS:
            current = read_multifield(entity, name)(site, obj)
            texts, kinds = apply_multifield(current, value, name)
            extras |= {key: kind for key, kind in kinds.items() if kind != "WORK" or key in extras}
            if name in ("PHONE", "EMAIL"):
                changes["phones" if name == "PHONE" else "emails"] = texts
            else:
                extras[f"{name}_VALUES"] = texts
        elif name in attrs:
            changes[attrs[name]] = value
        else:
            extras[user_fields.stored_name(site, name)] = value
    return {**changes, "fields": extras}


def _as_contact(value: Any) -> Contact:
    assert isinstance(value, Contact)
    return value


def _as_company(value: Any) -> Company:
    assert isinstance(value, Company)
    return value


def _delete(kind: Any) -> Any:
    def delete(site: Site, entity_id: int, by: int) -> None:
        try:
            site.portal.delete(kind, entity_id, by=by)
        except UnknownEntity:
            raise item_not_found() from None

    return delete


def _contacts(site: Site) -> Iterable[Contact]:
    with site.portal.lock:
        return site.portal.contacts.rows()


def _companies(site: Site) -> Iterable[Company]:
    with site.portal.lock:
        return site.portal.companies.rows()


CONTACT = Entity(
    3,
    "contact",
    "C",
    lambda site: {f.name: f for f in (*CONTACT_FIELDS, *user_fields.of(site, "contact"))},
    _contacts,
    lambda site, contact_id: site.portal.contacts.get(contact_id),
    _save_contact,
    _delete("contact"),
)
COMPANY = Entity(
    4,
    "company",
    "CO",
    lambda site: {f.name: f for f in (*COMPANY_FIELDS, *user_fields.of(site, "company"))},
    _companies,
    lambda site, company_id: site.portal.companies.get(company_id),
    _save_company,
    _delete("company"),
)
