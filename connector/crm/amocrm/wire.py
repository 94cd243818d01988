"""amoCRM's JSON -> domain. Pure; the only place beside `events.py` that knows names of amoCRM's fields.

Source: amoCRM developers' docs, pages «Сделки», «Контакты», «Компании», «Поля», «Воронки и этапы», «Списки».
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from connector.crm.amocrm.field_values import decode
from connector.crm.requisites import from_fields, merged
from connector.crm.wild import Malformed, Wild
from connector.domain import (
    Company,
    Contact,
    Deal,
    LossReason,
    Outcome,
    Pipeline,
    Product,
    ProductRow,
    Requisites,
    Stage,
    User,
)

#: Won and lost have the same ids in every pipeline.
OUTCOMES = {"142": Outcome.WON, "143": Outcome.LOST}


@dataclass(frozen=True, slots=True)
class CustomField:
    """A filled custom field as an entity carries it."""

    id: str
    name: str
    code: str
    type: str
    values: tuple[Wild, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """A catalog element linked to a deal; `price_id` names its price field where there are several."""

    id: str
    catalog_id: str
    quantity: Decimal
    price_id: str | None


@dataclass(frozen=True, slots=True)
class Wire:
    """Reads entities of one account. `currency` and `zone` are the account's: a deal does not carry them."""

    account: str
    currency: str
    zone: ZoneInfo

    def deal(self, item: Wild) -> Deal:
        """A lead with=contacts,source. A budget of 0 is an empty one: amoCRM keeps no difference."""
        stage_id = item["status_id"].id()
        custom = list(custom_fields(item))
        fields = self.fields(custom)
        amount = item.get("price_with_minor_units") or item.get("price")
        embedded = item.get("_embedded") or Wild({})
        contacts = sorted(_linked(embedded, "contacts"), key=lambda link: not link[1])
        return Deal(
            account=self.account,
            id=item["id"].id(),
            name=item.text_at("name") or f"Сделка #{item['id'].id()}",
            pipeline_id=item["pipeline_id"].id(),
            stage_id=stage_id,
            outcome=OUTCOMES.get(stage_id, Outcome.OPEN),
            amount=(amount.decimal() or None) if amount is not None else None,
            currency=self.currency,
            responsible_id=item.id_at("responsible_user_id"),
            created_at=item["created_at"].unix(),
            updated_at=item["updated_at"].unix(),
            closed_at=_moment(item, "closed_at"),
            contact_ids=tuple(contact_id for contact_id, _ in contacts),
            company_id=next((company_id for company_id, _ in _linked(embedded, "companies")), None),
            loss_reason_id=item.id_at("loss_reason_id"),
            channel=self._channel(item, embedded),
            utm_source=_utm(custom, "source"),
            utm_medium=_utm(custom, "medium"),
            utm_campaign=_utm(custom, "campaign"),
            tags=tuple(tag["name"].text() for tag in (embedded.get("tags") or Wild(None)).each()),
            is_deleted=_flag(item, "is_deleted"),
            changed_by=item.id_at("updated_by"),
            fields=fields,
            # Source: amoCRM API v4, page «Сделки»: an integer in accounts without minor units.
            is_amount_whole=item.get("price_with_minor_units") is None,
        )

    def contact(self, item: Wild) -> Contact:
        """A contact; which one is a deal's main contact stands in the deal."""
        custom = list(custom_fields(item))
        return Contact(
            id=item["id"].id(),
            name=item.text_at("name") or f"{item.text_at('first_name')} {item.text_at('last_name')}".strip(),
            emails=_texts(custom, "EMAIL"),
            phones=_texts(custom, "PHONE"),
            post=", ".join(_texts(custom, "POSITION")),
            fields=self.fields(custom),
        )

    def company(self, item: Wild) -> Company:
        """A company with the requisites from its requisites field, else from fields with the usual names."""
        custom = list(custom_fields(item))
        fields = self.fields(custom)
        return Company(
            id=item["id"].id(),
            name=item.text_at("name"),
            emails=_texts(custom, "EMAIL"),
            phones=_texts(custom, "PHONE"),
            requisites=merged(legal_entity(custom), from_fields(fields)),
            fields=fields,
        )

    def fields(self, custom: list[CustomField]) -> dict[str, str]:
        """Custom fields by the name people see; of two with one name the first that is filled.

        Several values are joined by «, », dates are ISO 8601 in the account's zone, flags «да» and «нет».
        """
        result: dict[str, str] = {}
        for field in custom:
            text = ", ".join(filter(None, (decode(field.type, value, self.zone) for value in field.values)))
            if text:
                result.setdefault(field.name, text)
        return result

    def _channel(self, item: Wild, embedded: Wild) -> str | None:
        """The source's name as people see it, else its id."""
        source = embedded.get("source")
        return (source.text_at("name") if source is not None else "") or item.id_at("source_id")


def custom_fields(item: Wild) -> Iterator[CustomField]:
    """The filled custom fields; `custom_fields_values` is null when there is none."""
    for field in (item.get("custom_fields_values") or Wild(None)).each():
        values = tuple((field.get("values") or Wild(None)).each())
        yield CustomField(
            id=field["field_id"].id(),
            name=field.text_at("field_name"),
            code=field.text_at("field_code").upper(),
            type=field.text_at("field_type"),
            values=values,
        )


def legal_entity(custom: list[CustomField]) -> Requisites:
    """The first filled «Юр. лицо» field; empty requisites when there is none.

    The key `tax_registration_reason_code` is the ОГРН or ОГРНИП when it has the length of one.
    """
    for field in custom:
        value = field.values[0].get("value") if field.type == "legal_entity" and field.values else None
        if value is None or not value.is_map:
            continue
        code = value.text_at("tax_registration_reason_code")
        return Requisites(
            full_name=value.text_at("name"),
            inn=value.text_at("vat_id"),
            kpp=value.text_at("kpp") or (code if len(code) == 9 else ""),
            ogrn=code if len(code) in (13, 15) else "",
            address=value.text_at("address", "real_address"),
            bik=value.text_at("bank_code"),
            account=value.text_at("bank_account_number"),
            director_name=value.text_at("director"),
        )
    return Requisites()


def pipeline(item: Wild) -> Pipeline:
    """A pipeline with its stages by `sort`; the system stages «won» and «lost» sort last by themselves."""
    pipeline_id = item["id"].id()
    stages = [
        Stage(
            pipeline_id=pipeline_id,
            id=status["id"].id(),
            name=status["name"].text(),
            sort=status["sort"].int(),
            outcome=OUTCOMES.get(status["id"].id(), Outcome.OPEN),
        )
        for status in item["_embedded"]["statuses"].each()
    ]
    return Pipeline(
        id=pipeline_id,
        name=item["name"].text(),
        stages=tuple(sorted(stages, key=lambda stage: stage.sort)),
        is_main=_flag(item, "is_main"),
    )


def user(item: Wild) -> User:
    """A user with=group; a user is in one group at most."""
    rights = item.get("rights") or Wild({})
    groups = ((item.get("_embedded") or Wild({})).get("groups") or Wild(None)).each()
    return User(
        id=item["id"].id(),
        name=item.text_at("name"),
        email=item.text_at("email"),
        is_active="is_active" not in rights.names() or _flag(rights, "is_active"),
        is_admin=_flag(rights, "is_admin"),
        team=next((group.text_at("name") for group in groups), ""),
    )


def loss_reason(item: Wild) -> LossReason:
    return LossReason(item["id"].id(), item["name"].text())


def elements(lead: Wild) -> list[Element]:
    """The catalog elements linked to a lead read with=catalog_elements."""
    result = []
    for item in ((lead.get("_embedded") or Wild({})).get("catalog_elements") or Wild(None)).each():
        metadata = item["metadata"]
        quantity = metadata.get("quantity")
        result.append(
            Element(
                id=item["id"].id(),
                catalog_id=metadata["catalog_id"].id(),
                quantity=quantity.decimal() if quantity is not None else Decimal(1),
                price_id=metadata.id_at("price_id"),
            )
        )
    return result


def product_row(element: Element, item: Wild) -> ProductRow | None:
    """The row for a linked element; None for what is no product, such as an invoice. A product whose price
    is empty has the price NaN: left out, it would be missing in a contract without a word.

    amoCRM knows no discount in a row: a field of the list named «Скидка», «Скидка, %» and the like tells it.
    """
    custom = list(custom_fields(item))
    price = _price(custom, element.price_id)
    if price is None and not any(field.code in _PRODUCT_CODES for field in custom):
        return None
    if price is None:
        price = Decimal("NaN")
    off = _discount(custom, price)
    vat = _first(custom, *_VAT_FIELD)
    return ProductRow(
        name=item["name"].text(),
        quantity=element.quantity,
        price=price - off,
        unit=_unit(custom),
        discount=off,
        vat_rate=_vat(vat),
        is_vat_free=_is_vat_free(vat),
    )


def catalog_product(item: Wild, currency: str) -> Product | None:
    """An element of a list of products; None for a deleted one."""
    if _flag(item, "is_deleted"):
        return None
    custom = list(custom_fields(item))
    return Product(
        id=item["id"].id(),
        name=item.text_at("name"),
        price=_price(custom, None),
        currency=currency,
        unit=_unit(custom),
        sku=_first(custom, ("SKU",), r"артикул"),
        vat_rate=_vat(_first(custom, *_VAT_FIELD)),
    )


def _unit(custom: list[CustomField]) -> str:
    return _first(custom, ("UNIT",), r"ед(\.|иница)?\s*изм") or "шт."


def _price(custom: list[CustomField], price_id: str | None) -> Decimal | None:
    by_id = [field for field in custom if price_id is not None and field.id == price_id]
    for field in by_id or [field for field in custom if field.code == "PRICE"]:
        for value in field.values:
            return value["value"].decimal()
    return None


#: «Скидка», «Скидка, %», «Скидка (руб.)»; not «Скидка действует до».
_DISCOUNT_FIELD = re.compile(r"скидка[\s,(]*(%|руб\.?|₽|в процентах|в рублях)?\)?", re.IGNORECASE)
_DISCOUNT = re.compile(r"(\d+(?:[.,]\d+)?)(?:%|р|руб|₽)?\.?", re.IGNORECASE)
#: Fields that lists of products have. Source: reference section 4.14.
_PRODUCT_CODES = frozenset({"SKU", "GROUP", "EXTERNAL_ID", "DESCRIPTION"})
#: Codes and the name of the field that holds a product's VAT.
_VAT_FIELD = (("VAT", "VAT_RATE"), r"(ставка\s+)?ндс")


def _vat(text: str) -> Decimal | None:
    """«22 %» and «22» are 22; None when nothing is said, and for «Без НДС»."""
    number = re.search(r"\d+([.,]\d+)?", text)
    return Decimal(number.group(0).replace(",", ".")) if number else None


def _is_vat_free(text: str) -> bool:
    """«Без НДС», «Не облагается»: that is not the rate 0 %."""
    return _vat(text) is None and re.search(r"без|не\s+обл", text, re.IGNORECASE) is not None


def _discount(custom: list[CustomField], price: Decimal) -> Decimal:
    """What a unit costs less, to the kopeck; 0 for no discount.

    A bare number is money unless the field's name has «%»; what would leave nothing to pay is passed over.
    """
    for field in custom:
        if field.code != "DISCOUNT" and not _DISCOUNT_FIELD.fullmatch(field.name.strip()):
            continue
        text = "".join(value.text_at("value") for value in field.values[:1])
        number = _DISCOUNT.fullmatch(re.sub(r"\s", "", text))
        if number is None:
            continue
        value = Decimal(number.group(1).replace(",", "."))
        is_percent = "%" in text or "%" in field.name or "процент" in field.name.casefold()
        off = (price * value / 100 if is_percent else value).quantize(Decimal("0.01"), ROUND_HALF_UP)
        if not price.is_nan() and 0 < off < price:
            return off
    return Decimal(0)


def _first(custom: list[CustomField], codes: tuple[str, ...], name: str) -> str:
    for field in custom:
        if field.code in codes or re.match(name, field.name, re.IGNORECASE):
            for value in field.values:
                text = value.text_at("value")
                if text:
                    return text
    return ""


def _texts(custom: list[CustomField], code: str) -> tuple[str, ...]:
    found = (value.text_at("value") for field in custom if field.code == code for value in field.values)
    return tuple(text for text in found if text)


def _utm(custom: list[CustomField], part: str) -> str:
    name = f"utm_{part}"
    for field in custom:
        if field.code.lower() == name or field.name.lower() == name:
            for value in field.values:
                return value.text_at("value")
    return ""


def _linked(embedded: Wild, name: str) -> Iterator[tuple[str, bool]]:
    """(id, is main) of linked contacts or companies."""
    for link in (embedded.get(name) or Wild(None)).each():
        yield link["id"].id(), _flag(link, "is_main")


def _flag(item: Wild, name: str) -> bool:
    part = item.get(name)
    return part is not None and part.flag()


def _moment(item: Wild, name: str) -> datetime | None:
    part = item.get(name)
    try:
        return part.unix() if part is not None else None
    except Malformed:
        return None
