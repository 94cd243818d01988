"""Bitrix24's JSON -> domain. Pure; beside `directory.py` the only place that knows Bitrix24's field names.

Source: Bitrix24 REST docs, pages «Поля объектов CRM», «crm.item.productrow», «Реквизиты», «user.get».
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connector.crm.bitrix24.directory import OUTCOMES, Directory, FieldInfo
from connector.crm.bitrix24.fields import custom_fields, is_scalar
from connector.crm.requisites import from_fields, merged
from connector.crm.wild import Malformed, Wild
from connector.domain import Company, Contact, Deal, Outcome, ProductRow, Requisites, User

DEAL, CONTACT, COMPANY, REQUISITE = 2, 3, 4, 8

#: Addresses of a requisite that may stand in a contract, the best first: legal, registered, physical.
ADDRESS_TYPES = ("6", "4", "1")
_CENT = Decimal("0.01")

#: All that is read of a deal, beside its custom fields.
DEAL_FIELDS = (
    *("id", "title", "categoryId", "stageId", "stageSemanticId", "opportunity", "currencyId"),
    *("assignedById", "createdTime", "updatedTime", "updatedBy", "movedTime", "closedate"),
    *("contactId", "contactIds", "companyId", "sourceId", "utmSource", "utmMedium", "utmCampaign"),
)


@dataclass(frozen=True, slots=True)
class Wire:
    """Reads deals of one portal. `zone` is where its dates without a time are at home."""

    account: str
    directory: Directory
    zone: ZoneInfo

    def deal(self, item: Wild) -> Deal:
        """An item of type 2 with original names of custom fields. An amount of 0 is an empty one: Bitrix24
        keeps no difference."""
        outcome = OUTCOMES.get(item.text_at("stageSemanticId"), Outcome.OPEN)
        stage_id = item["stageId"].text()
        source_id = item.text_at("sourceId")
        amount = item.get("opportunity")
        return Deal(
            account=self.account,
            id=item["id"].id(),
            name=item.text_at("title") or f"Сделка #{item['id'].id()}",
            pipeline_id=item["categoryId"].id(),
            stage_id=stage_id,
            outcome=outcome,
            amount=(amount.decimal() or None) if amount is not None else None,
            currency=item.text_at("currencyId") or "RUB",
            responsible_id=item.id_at("assignedById"),
            created_at=item["createdTime"].iso(),
            updated_at=item["updatedTime"].iso(),
            closed_at=self._closed_at(item) if outcome is not Outcome.OPEN else None,
            moved_at=moved.iso() if (moved := item.get("movedTime")) is not None else None,
            contact_ids=_contact_ids(item),
            company_id=item.id_at("companyId"),
            loss_reason_id=self._loss_reason(item, stage_id) if outcome is Outcome.LOST else None,
            channel=self.directory.sources.get(source_id, source_id) or None,
            utm_source=item.text_at("utmSource"),
            utm_medium=item.text_at("utmMedium"),
            utm_campaign=item.text_at("utmCampaign"),
            changed_by=item.id_at("updatedBy"),
            fields=custom_fields(item, self.directory.fields),
        )

    def _closed_at(self, item: Wild) -> datetime | None:
        """The move into the final stage. An imported deal has only the day, in the field people can edit."""
        moved = item.get("movedTime")
        if moved is not None:
            return moved.iso()
        day = item.text_at("closedate")[:10]
        try:
            return datetime.combine(datetime.fromisoformat(day), time(), self.zone) if day else None
        except ValueError:
            raise Malformed(f"{item.path}['closedate']", "is no date") from None

    def _loss_reason(self, item: Wild, stage_id: str) -> str | None:
        """The chosen item of the loss field, else the lost stage when it says more than «lost»."""
        loss_field = self.directory.loss_field
        if loss_field is None:
            return stage_id if stage_id in self.directory.reasons else None
        value = item.get(loss_field.code)
        values = list(value.each()) if value is not None and not is_scalar(value) else [value]
        for one in values:
            text = one.text().strip() if one is not None and is_scalar(one) else ""
            if text and text != "0":
                return text
        return None


def contact(item: Wild, fields: Mapping[str, FieldInfo]) -> Contact:
    """An item of type 3; which one is a deal's main contact stands in the deal."""
    parts = (item.text_at("name"), item.text_at("secondName"), item.text_at("lastName"))
    return Contact(
        id=item["id"].id(),
        name=" ".join(filter(None, parts)),
        emails=multifield(item, "EMAIL"),
        phones=multifield(item, "PHONE"),
        post=item.text_at("post"),
        fields=custom_fields(item, fields),
    )


def company(item: Wild, fields: Mapping[str, FieldInfo], requisites: Requisites) -> Company:
    """An item of type 4; lines that its requisites lack are taken from fields with the usual names."""
    custom = custom_fields(item, fields)
    return Company(
        id=item["id"].id(),
        name=item.text_at("title"),
        emails=multifield(item, "EMAIL"),
        phones=multifield(item, "PHONE"),
        requisites=merged(requisites, from_fields(custom)),
        fields=custom,
    )


def requisites(item: Wild) -> Requisites:
    """A row of crm.requisite.list. A sole trader has a person's name in place of a company's."""
    person = " ".join(filter(None, (item.text_at(f"RQ_{part}_NAME") for part in ("LAST", "FIRST", "SECOND"))))
    return Requisites(
        full_name=item.text_at("RQ_COMPANY_FULL_NAME", "RQ_COMPANY_NAME", "RQ_NAME") or person,
        inn=item.text_at("RQ_INN"),
        kpp=item.text_at("RQ_KPP"),
        ogrn=item.text_at("RQ_OGRN", "RQ_OGRNIP"),
        director_name=item.text_at("RQ_DIRECTOR", "RQ_CEO_NAME"),
        director_post=item.text_at("RQ_CEO_WORK_POS"),
        basis=item.text_at("RQ_BASE_DOC"),
    )


def with_bank(details: Requisites, bank: Wild) -> Requisites:
    """`details` with a row of crm.requisite.bankdetail.list."""
    return replace(
        details,
        bank_name=bank.text_at("RQ_BANK_NAME"),
        bik=bank.text_at("RQ_BIK"),
        account=bank.text_at("RQ_ACC_NUM"),
        corr_account=bank.text_at("RQ_COR_ACC_NUM"),
    )


def address(rows: Wild) -> str:
    """One line from the rows of crm.address.list, the legal address before others; «» without any."""
    by_type = {row.text_at("TYPE_ID"): row for row in rows.each()}
    for type_id in ADDRESS_TYPES:
        row = by_type.get(type_id)
        if row is not None:
            names = ("POSTAL_CODE", "COUNTRY", "REGION", "PROVINCE", "CITY", "ADDRESS_1", "ADDRESS_2")
            line = ", ".join(filter(None, (row.text_at(name) for name in names)))
            if line:
                return line
    return ""


def product_row(item: Wild) -> ProductRow:
    """`price` is the final price of a unit, VAT included whether or not it comes on top; `priceExclusive`
    lacks the VAT, `priceNetto` and `priceBrutto` the discount. A tax rate of null is «the portal does not
    say»; 0 is the rate 0 %. A markup (a negative discount) is no discount.

    Source: Bitrix24 REST, page «crm.item.productrow.list».
    """
    price, rate = _decimal_at(item, "price", Decimal("NaN")), _decimal_at(item, "taxRate")
    exclusive, off = _decimal_at(item, "priceExclusive"), _decimal_at(item, "discountSum") or Decimal(0)
    on_top = item.get("taxIncluded")
    has_on_top = bool(rate) and exclusive is not None and on_top is not None and not on_top.flag()
    return ProductRow(
        name=item.text_at("productName"),
        quantity=_decimal_at(item, "quantity", Decimal(1)),
        price=price,
        unit=item.text_at("measureName") or "шт.",
        discount=_gross_off(item, price, off, rate) if off > 0 else Decimal(0),
        vat_rate=rate,
        net_price=exclusive if has_on_top else None,
        net_discount=max(off, Decimal(0)).quantize(_CENT, ROUND_HALF_UP) if has_on_top else Decimal(0),
    )


def _gross_off(item: Wild, price: Decimal, off: Decimal, rate: Decimal | None) -> Decimal:
    """The discount with its VAT, which `discountSum` (`off`) lacks."""
    brutto = _decimal_at(item, "priceBrutto")
    if brutto is None or price.is_nan():
        gross: Decimal = off * (100 + (rate or 0)) / 100
    else:
        gross = max(brutto - price, Decimal(0))
    return gross.quantize(_CENT, ROUND_HALF_UP)


def _decimal_at(item: Wild, name: str, default: Any = None) -> Any:
    part = item.get(name)
    return part.decimal() if part is not None and part.value != "" else default


def user(item: Wild, departments: Mapping[str, str] | None = None) -> User:
    """A row of user.get. It does not tell administrators; the first of a person's departments counts."""
    active = item.get("ACTIVE")
    own = next((one.id() for one in (item.get("UF_DEPARTMENT") or Wild(None)).each()), "")
    return User(
        id=item["ID"].id(),
        name=f"{item.text_at('NAME')} {item.text_at('LAST_NAME')}".strip() or item.text_at("EMAIL"),
        email=item.text_at("EMAIL"),
        is_active=active is None or active.flag(),
        team=(departments or {}).get(own, ""),
        timezone=item.text_at("TIME_ZONE"),
    )


def _contact_ids(item: Wild) -> tuple[str, ...]:
    """The main contact first."""
    main = item.id_at("contactId")
    others = [one.id() for one in (item.get("contactIds") or Wild(None)).each()]
    return tuple(dict.fromkeys([main, *others] if main else others))


def multifield(item: Wild, type_id: str) -> tuple[str, ...]:
    """Phones or e-mails from `fm`, else from the single field beside it."""
    found = [
        entry.text_at("value")
        for entry in (item.get("fm") or Wild(None)).each()
        if entry.text_at("typeId") == type_id
    ]
    return tuple(dict.fromkeys(filter(None, found or [item.text_at(type_id.lower())])))
