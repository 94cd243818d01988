"""Requisites and bank details.

The portal keeps one set of requisites a company; its bank details are shown under the requisite's id.
Source: reference section 4.8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, ids_in_filter, page_of, selected
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.wire import classic_error, moment, not_found, parse_int
from connector.sandbox.state import Company, Requisites

TABLE = MethodTable()

COMPANY_TYPE: Final = 4
REQUISITE_TYPE: Final = 8
_ORGANISATION, _SOLE_TRADER, _PERSON = 1, 2, 3

#: Field of the wire → attribute of the portal's `Requisites`.
REQUISITE_ATTRS: Final = {
    "RQ_COMPANY_FULL_NAME": "full_name",
    "RQ_INN": "inn",
    "RQ_KPP": "kpp",
    "RQ_OGRN": "ogrn",
    "RQ_OGRNIP": "ogrn",
    "RQ_DIRECTOR": "director_name",
    "RQ_CEO_WORK_POS": "director_post",
    "RQ_BASE_DOC": "basis",
}
BANK_ATTRS: Final = {
    "RQ_BANK_NAME": "bank_name",
    "RQ_BIK": "bik",
    "RQ_ACC_NUM": "account",
    "RQ_COR_ACC_NUM": "corr_account",
}
_REQUISITE_EMPTY: Final = [
    "RQ_NAME",
    "RQ_FIRST_NAME",
    "RQ_LAST_NAME",
    "RQ_SECOND_NAME",
    "RQ_COMPANY_ID",
    "RQ_COMPANY_NAME",
    "RQ_COMPANY_FULL_NAME",
    "RQ_COMPANY_REG_DATE",
    "RQ_DIRECTOR",
    "RQ_ACCOUNTANT",
    "RQ_CEO_NAME",
    "RQ_CEO_WORK_POS",
    "RQ_CONTACT",
    "RQ_EMAIL",
    "RQ_PHONE",
    "RQ_FAX",
    "RQ_IDENT_TYPE",
    "RQ_IDENT_DOC",
    "RQ_IDENT_DOC_SER",
    "RQ_IDENT_DOC_NUM",
    "RQ_IDENT_DOC_DATE",
    "RQ_IDENT_DOC_ISSUED_BY",
    "RQ_IDENT_DOC_DEP_CODE",
    "RQ_INN",
    "RQ_KPP",
    "RQ_IFNS",
    "RQ_OGRN",
    "RQ_OGRNIP",
    "RQ_OKPO",
    "RQ_OKTMO",
    "RQ_OKVED",
    "RQ_ST_CERT_SER",
    "RQ_ST_CERT_NUM",
    "RQ_ST_CERT_DATE",
    "RQ_BASE_DOC",
    # Of other countries; every card has them too.
    *("RQ_IDENT_DOC_PERS_NUM", "RQ_USRLE", "RQ_EDRPOU", "RQ_DRFO", "RQ_KBE", "RQ_IIN", "RQ_BIN"),
    *("RQ_VAT_PAYER", "RQ_VAT_ID", "RQ_VAT_CERT_SER", "RQ_VAT_CERT_NUM", "RQ_VAT_CERT_DATE"),
    *("RQ_RESIDENCE_COUNTRY", "RQ_REGON", "RQ_KRS", "RQ_PESEL", "RQ_LEGAL_FORM", "RQ_SIRET", "RQ_SIREN"),
    *("RQ_CAPITAL", "RQ_RCS", "RQ_CNPJ", "RQ_STATE_REG", "RQ_MNPL_REG", "RQ_CPF"),
]
_BANK_EMPTY: Final = [
    "RQ_BANK_NAME",
    "RQ_BANK_CODE",
    "RQ_BANK_ADDR",
    "RQ_BANK_ROUTE_NUM",
    "RQ_BIK",
    "RQ_MFO",
    "RQ_ACC_NAME",
    "RQ_ACC_NUM",
    "RQ_ACC_TYPE",
    "RQ_IIK",
    "RQ_ACC_CURRENCY",
    "RQ_COR_ACC_NUM",
    "RQ_IBAN",
    "RQ_SWIFT",
    "RQ_BIC",
    "RQ_CODEB",
    "RQ_CODEG",
    "RQ_RIB",
    "RQ_AGENCY_NAME",
]


def _requisite(call: Call, company: Company) -> dict[str, Any]:
    held = company.requisites
    assert held is not None
    is_trader = len(held.inn) == 12
    extras = call.site.requisite_extras.get(held.id, {})
    row: dict[str, Any] = {
        "ID": str(held.id),
        "ENTITY_TYPE_ID": str(COMPANY_TYPE),
        "ENTITY_ID": str(company.id),
        "PRESET_ID": str(extras.get("PRESET_ID") or (_SOLE_TRADER if is_trader else _ORGANISATION)),
        "DATE_CREATE": moment(company.created_at, call.site.zone),
        "DATE_MODIFY": "",
        "CREATED_BY_ID": str(company.responsible_id),
        "MODIFY_BY_ID": None,
        "NAME": extras.get("NAME") or ("ИП" if is_trader else "Организация"),
        "CODE": None,
        "XML_ID": extras.get("XML_ID"),
        "ORIGINATOR_ID": extras.get("ORIGINATOR_ID"),
        "ACTIVE": "Y",
        "ADDRESS_ONLY": "N",
        "SORT": "500",
        **{name: extras.get(name) for name in _REQUISITE_EMPTY},
        "RQ_VAT_PAYER": extras.get("RQ_VAT_PAYER") or "N",
    }
    for name, attr in REQUISITE_ATTRS.items():
        row[name] = getattr(held, attr) or None
    row["RQ_OGRN" if is_trader else "RQ_OGRNIP"] = None
    row["RQ_COMPANY_NAME"] = extras.get("RQ_COMPANY_NAME") or company.name
    return row


def _bank_detail(call: Call, company: Company) -> dict[str, Any]:
    held = company.requisites
    assert held is not None
    extras = call.site.requisite_extras.get(-held.id, {})
    row: dict[str, Any] = {
        "ID": str(held.id),
        "ENTITY_ID": str(held.id),
        "COUNTRY_ID": "1",
        "DATE_CREATE": moment(company.created_at, call.site.zone),
        "DATE_MODIFY": "",
        "CREATED_BY_ID": str(company.responsible_id),
        "MODIFY_BY_ID": None,
        "NAME": extras.get("NAME") or held.bank_name,
        "CODE": None,
        "XML_ID": extras.get("XML_ID"),
        "ORIGINATOR_ID": extras.get("ORIGINATOR_ID"),
        "ACTIVE": "Y",
        "SORT": "500",
        **{name: extras.get(name) for name in _BANK_EMPTY},
        "COMMENTS": extras.get("COMMENTS"),
    }
    for name, attr in BANK_ATTRS.items():
        row[name] = getattr(held, attr) or None
    return row


def companies_with(call: Call, keep: Callable[[Requisites], bool]) -> list[Company]:
    with call.site.portal.lock:
        companies = call.site.portal.companies.rows()
    return [company for company in companies if company.requisites and keep(company.requisites)]


def _with(held: Requisites, texts: dict[str, str]) -> Requisites:
    """A copy with those attributes changed."""
    changed = replace(held)
    for attr, text in texts.items():
        setattr(changed, attr, text)
    return changed


def _has_bank(held: Requisites) -> bool:
    return any(getattr(held, attr) for attr in BANK_ATTRS.values())


def _asked_for(call: Call, keep: Callable[[Requisites], bool]) -> list[Company]:
    """Companies whose requisites the filter can mean at all, so that not all have to be written out."""
    owners = ids_in_filter(call, "ENTITY_ID")
    if owners is None:
        return companies_with(call, keep)
    named = [call.site.portal.companies.get(number) for number in sorted(owners)]
    return [company for company in named if company and company.requisites and keep(company.requisites)]


def company_by_id(call: Call, number: int, keep: Callable[[Requisites], bool] = bool) -> Company:
    for company in companies_with(call, lambda held: held.id == number and keep(held)):
        return company
    raise not_found()


def listed(call: Call, rows: list[dict[str, Any]], key: str = "ID") -> Page:
    """A page of classic rows, cut to what `select` names."""
    names = selected(call)

    def present(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not names or "*" in names:
            return page
        return [{name: value for name, value in row.items() if name in names} for row in page]

    columns = Columns(_row_column, strict=False, zone=call.site.zone)
    return page_of(call, rows, columns, present, default_order={key: "ASC"})


def _row_column(name: str) -> Column | None:
    if name in {
        "ID",
        "ENTITY_ID",
        "ENTITY_TYPE_ID",
        "PRESET_ID",
        "TYPE_ID",
        "SORT",
        "REQUISITE_ID",
        "ANCHOR_ID",
    }:
        return Column("integer", lambda row: parse_int(row.get(name)))
    return Column("string", lambda row: row.get(name))


def _change(
    call: Call, company: Company, wanted: dict[str, Any], attrs: dict[str, str], *, bank: bool
) -> None:
    held = company.requisites
    assert held is not None
    given = {
        attrs[name]: str(value or "") for name, value in wanted.items() if name in attrs and value is not None
    }
    extras = call.site.requisite_extras.setdefault(-held.id if bank else held.id, {})
    extras |= {name: value for name, value in wanted.items() if name not in attrs}
    call.site.portal.update("company", company.id, {"requisites": _with(held, given)}, by=call.user_id)


@TABLE.add("crm.requisite.list", scope="crm")
def requisite_list(call: Call) -> Page:
    return listed(call, [_requisite(call, company) for company in _asked_for(call, bool)])


@TABLE.add("crm.requisite.get", scope="crm")
def requisite_get(call: Call) -> dict[str, Any]:
    return _requisite(call, company_by_id(call, call.id()))


@TABLE.add("crm.requisite.add", scope="crm")
def requisite_add(call: Call) -> int:
    wanted = call.require_map("fields")
    company = call.site.portal.companies.get(parse_int(wanted.get("ENTITY_ID")) or 0)
    if parse_int(wanted.get("ENTITY_TYPE_ID")) != COMPANY_TYPE or company is None:
        raise classic_error("ENTITY_ID is not defined or invalid.")
    if company.requisites is not None:
        raise classic_error("The company has its requisites already: this portal keeps one set a company.")
    number = call.site.portal.new_id("requisites")
    given = {REQUISITE_ATTRS[n]: str(v) for n, v in wanted.items() if n in REQUISITE_ATTRS and v}
    rest = {n: v for n, v in wanted.items() if n not in REQUISITE_ATTRS}
    call.site.requisite_extras[number] = rest
    given.setdefault("full_name", str(wanted.get("RQ_COMPANY_NAME") or ""))
    made = Requisites(number, **given)
    call.site.portal.update("company", company.id, {"requisites": made}, by=call.user_id)
    return number


@TABLE.add("crm.requisite.update", scope="crm")
def requisite_update(call: Call) -> bool:
    _change(
        call, company_by_id(call, call.id()), call.require_map("fields"), dict(REQUISITE_ATTRS), bank=False
    )
    return True


@TABLE.add("crm.requisite.delete", scope="crm")
def requisite_delete(call: Call) -> bool:
    company = company_by_id(call, call.id())
    call.site.portal.update("company", company.id, {"requisites": None}, by=call.user_id)
    return True


@TABLE.add("crm.requisite.fields", scope="crm")
def requisite_fields(call: Call) -> dict[str, Any]:
    names = ("ID", "ENTITY_TYPE_ID", "ENTITY_ID", "PRESET_ID", "NAME", "ACTIVE", *_REQUISITE_EMPTY)
    return {name: {"type": "string", "isRequired": False, "isReadOnly": name == "ID"} for name in names}


@TABLE.add("crm.requisite.preset.list", scope="crm")
def preset_list(call: Call) -> Page:
    presets = ((_ORGANISATION, "Организация"), (_SOLE_TRADER, "ИП"), (_PERSON, "Физ. лицо"))
    xml_ids = {1: "#CRM_REQUISITE_PRESET_DEF_RU_COMPANY#", 2: "#CRM_REQUISITE_PRESET_DEF_RU_INDIVIDUAL#"}
    rows = [
        {
            "ID": str(number),
            "NAME": name,
            "ENTITY_TYPE_ID": str(REQUISITE_TYPE),
            "COUNTRY_ID": "1",
            "XML_ID": xml_ids.get(number, "#CRM_REQUISITE_PRESET_DEF_RU_PERSON#"),
            "ACTIVE": "Y",
            "SORT": str(number * 10),
        }
        for number, name in presets
    ]
    return listed(call, rows)


@TABLE.add("crm.requisite.bankdetail.list", scope="crm")
def bankdetail_list(call: Call) -> Page:
    owners = ids_in_filter(call, "ENTITY_ID")
    found = companies_with(call, lambda held: _has_bank(held) and (owners is None or held.id in owners))
    return listed(call, [_bank_detail(call, company) for company in found])


@TABLE.add("crm.requisite.bankdetail.get", scope="crm")
def bankdetail_get(call: Call) -> dict[str, Any]:
    return _bank_detail(call, company_by_id(call, call.id(), _has_bank))


@TABLE.add("crm.requisite.bankdetail.add", scope="crm")
def bankdetail_add(call: Call) -> int:
    wanted = call.require_map("fields")
    number = parse_int(wanted.get("ENTITY_ID")) or 0
    company = company_by_id(call, number)
    if company.requisites and _has_bank(company.requisites):
        raise classic_error("The requisites have their bank details already: this portal keeps one set.")
    _change(call, company, wanted, dict(BANK_ATTRS), bank=True)
    return number


@TABLE.add("crm.requisite.bankdetail.update", scope="crm")
def bankdetail_update(call: Call) -> bool:
    _change(
        call,
        company_by_id(call, call.id(), _has_bank),
        call.require_map("fields"),
        dict(BANK_ATTRS),
        bank=True,
    )
    return True


@TABLE.add("crm.requisite.bankdetail.delete", scope="crm")
def bankdetail_delete(call: Call) -> bool:
    company = company_by_id(call, call.id(), _has_bank)
    _change(call, company, dict.fromkeys(BANK_ATTRS, ""), dict(BANK_ATTRS), bank=True)
    return True
