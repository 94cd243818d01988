"""What templates see of a deal: one plain dict in Russian words, clean, checked, without empty values.

A field that is empty in the CRM is absent here, so a template that needs it is held instead of printing a
blank. A field that is filled in wrongly (a slip in the ИНН, rows that do not make up the amount) is absent
too, and `_ошибки` says why: a template that does not use it is not held by it. Pure: no CRM, no store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from connector.documents import discounts, economics, materials, money, payment_qr, prepayment, requisites
from connector.documents.clean import NAME, TEXT, TooLongError, clean, clean_line, digits
from connector.documents.company import Seller
from connector.documents.discounts import Discount
from connector.documents.kit import Kit
from connector.documents.names import genitive_basis, genitive_name, genitive_post, participles
from connector.documents.places import FAULTS, PLACES
from connector.documents.requisites import RequisiteError
from connector.documents.vat import rate_text
from connector.documents.words import CURRENCIES
from connector.domain import Contact, DealCard, ProductRow, User
from connector.errors import HeldError

_PERSON = "человек"
#: Without these no sum is known.
_OF_SUMS = frozenset({"сделка.скидка", "сделка.отгрузка"})
_SUMS = re.compile(r"итого|товары|сделка\.(сумма|скидка)")
_PATRONYMIC = re.compile(r"(?:вич|ьич|[кмтн]ич|вна|чна)$")


@dataclass(frozen=True, slots=True)
class Issued:
    """A document that exists already, for letters and later documents to speak of."""

    kind: str
    title: str
    number: str
    issued_on: date
    total: Decimal | None = None
    #: Where the client opens it; "" when that link was taken back.
    url: str = ""


def build(
    card: DealCard,
    *,
    kit: Kit,
    kind: str | None,
    responsible: User | None,
    stage_name: str,
    pipeline_name: str,
    number: str | None,
    issued_on: date,
    made_on: date | None = None,
    version: int = 1,
    variant: str = "",
    attachments: Sequence[Issued] = (),
) -> dict[str, Any]:
    """The context of one document (`kind`) or letter (None), of dicts, lists, texts, Decimals and dates.

    number: as printed, None while it is not given yet. issued_on: in the account's own time zone. made_on:
    the day that its validity begins, if it is a later one. version: from 2 on it is a correction. variant:
    the template that this deal gets, where its kind has several. attachments: the deal's documents so far.
    Never raises for the deal's data: what is wrong is named in `_ошибки` and holds the render that needs it.
    KeyError for an unknown kind.
    """
    builder = _Builder(card, kit, issued_on, pipeline_name)
    context: dict[str, Any] = {
        "сделка": builder.deal(stage_name, pipeline_name),
        "клиент": builder.client(),
        "контакт": builder.contact(),
        "менеджер": builder.manager(responsible),
        "продавец": {**builder.seller.data} if builder.seller else {},
        "сегодня": issued_on,
        "кейсы": builder.cases(),
        "документы": {issued.kind: _issued(issued) for issued in attachments},
        "вложения": [_issued(issued) for issued in attachments],
    }
    totals = builder.totals()
    if "сделка.сумма" in builder.faults:
        context["сделка"].pop("сумма", None)
    if totals is not None:
        context["сделка"]["сумма"] = totals.total  # with the kopecks that the CRM may not keep
        context["товары"] = [builder.row(at, line) for at, line in enumerate(totals.lines, 1)]
        context["итого"] = _total(totals, builder.discount)
        context["итого"].update(builder.prepaid(totals.total))
        context["экономика"] = builder.economics(totals.total)
        context["опции"] = builder.options([line.name for line in totals.lines])
    if kind is not None:
        template = kit.documents[kind]
        context["документ"] = _present(
            {
                "вид": kind,
                "название": template.title,
                "номер": number,
                "дата": issued_on,
                "год": str(issued_on.year),
                "редакция": version if version > 1 else None,
                "вариант": variant or None,
                "действует_до": (made_on or issued_on) + timedelta(days=template.valid_days)
                if template.valid_days
                else None,
            }
        )
        context["оплата"] = builder.payment(template.purpose(number, issued_on), totals)
    context[FAULTS] = builder.faults
    return {key: value for key, value in context.items() if value not in ({}, []) or key == FAULTS}


class _Builder:
    """Builds the sections and collects what is wrong with the data."""

    def __init__(self, card: DealCard, kit: Kit, issued_on: date, pipeline_name: str) -> None:
        self._card, self._kit, self._issued_on = card, kit, issued_on
        self.faults: dict[str, str] = {}
        self.seller: Seller | None = None
        self.discount: Discount | None = None
        try:
            self.seller = kit.seller(pipeline_name, card.deal.fields)
        except HeldError as error:
            self._note(error)

    def deal(self, stage_name: str, pipeline_name: str) -> dict[str, Any]:
        deal = self._card.deal
        fields = self._fields("сделка", deal.fields)
        company_fields = self._card.company.fields if self._card.company else {}
        industry = self._of_fields("сделка.отрасль", {**company_fields, **deal.fields})
        return _present(
            {
                "ид": deal.id,
                "название": self._text("сделка.название", deal.name),
                "сумма": deal.amount,
                "валюта": deal.currency,
                "этап": self._text("сделка.этап", stage_name),
                "воронка": self._text("сделка.воронка", pipeline_name),
                "отрасль": industry,
                "предоплата": self._prepayment(),
                "создана": deal.created_at.date(),
                "метки": [tag for tag in (self._text("сделка.метки", tag) for tag in deal.tags) if tag],
                "поля": fields,
            }
        )

    def contact(self) -> dict[str, Any]:
        contact = self._card.main_contact
        if contact is None:
            return {}
        name = self._text("контакт.имя", contact.name, NAME)
        return _present(
            {
                "имя": name,
                "обращение": _address(name),
                "email": self._first("контакт.email", contact.emails),
                "телефон": self._first("контакт.телефон", contact.phones),
                "должность": self._text("контакт.должность", contact.post, NAME),
                "поля": self._fields("контакт", contact.fields),
            }
        )

    def client(self) -> dict[str, Any]:
        company, contact = self._card.company, self._card.main_contact
        if company is None:
            return self._person(contact) if contact is not None else {}
        given = company.requisites
        raw = {
            "полное_название": given.full_name,
            "инн": given.inn,
            "кпп": given.kpp,
            "огрн": given.ogrn,
            "адрес": given.address,
            "банк": given.bank_name,
            "бик": given.bik,
            "счёт": given.account,
            "корсчёт": given.corr_account,
            "директор": given.director_name,
            "должность": given.director_post,
            "основание": given.basis,
            "директор_родительный": "",
            "должность_родительный": "",
        }
        data: dict[str, Any] = {"название": self._text("клиент.название", company.name, NAME)}
        for key, value in raw.items():
            name = f"клиент.{key}"
            data[key] = self._text(name, value) or self._of_fields(name, company.fields)
        for key in ("директор_родительный", "должность_родительный"):
            # What was written into this very deal is about this very contract.
            data[key] = self._of_fields(f"клиент.{key}", self._card.deal.fields) or data[key]
        data = self._checked(data)
        data["вид"] = "ИП" if len(data.get("инн") or "") == 12 or _is_trader(data) else "компания"
        if data["основание"]:
            data["основание"] = genitive_basis(data["основание"])
        data.update(_signing(data))
        self._decline(data, "директор", genitive_name)
        self._decline(data, "должность", genitive_post)
        emails = company.emails or (contact.emails if contact is not None else ())
        data["email"] = self._first("клиент.email", emails)
        data["телефон"] = self._first("клиент.телефон", company.phones)
        data["поля"] = self._fields("клиент", company.fields)
        return _present(data)

    def _person(self, contact: Contact) -> dict[str, Any]:
        """A private person who buys for himself: no ИНН is asked of him."""
        fields, name = contact.fields, self._text("контакт.имя", contact.name, NAME)
        return _present(
            {
                "вид": _PERSON,
                "название": name,
                "подписант": name,
                "именуемое": participles(name)["именуемое"],
                "паспорт": self._of_fields("клиент.паспорт", fields),
                "адрес": self._of_fields("клиент.адрес", fields),
                "email": self._first("контакт.email", contact.emails),
                "телефон": self._first("контакт.телефон", contact.phones),
                "поля": self._fields("контакт", fields),
            }
        )

    def manager(self, user: User | None) -> dict[str, Any]:
        if user is None:
            return {}
        return _present({"имя": self._text("менеджер.имя", user.name, NAME), "email": user.email})

    def cases(self) -> list[dict[str, Any]]:
        deal, company = self._card.deal, self._card.company
        industry = self._of_fields("сделка.отрасль", {**(company.fields if company else {}), **deal.fields})
        picked = materials.pick(self._kit.cases, [*deal.tags, *([industry] if industry else [])])
        return [{"название": case.title, "текст": case.text, "результат": case.result} for case in picked]

    def _rows(self, seller: Seller) -> Sequence[ProductRow]:
        """The deal's products; without any, the whole amount as one line, if our company names it."""
        deal, name = self._card.deal, seller.data.get("позиция")
        payable = deal.amount is not None and deal.amount.is_finite() and deal.amount > 0
        if self._card.rows or not name or deal.amount is None or not payable:
            return self._card.rows
        return (ProductRow(name, Decimal(1), deal.amount, unit="усл."),)

    def totals(self) -> money.Totals | None:
        deal, seller = self._card.deal, self.seller
        if deal.currency not in CURRENCIES:
            place = "Сделка → Валюта"
            self.faults["итого.валюта"] = f"{place} («{deal.currency}», есть: {', '.join(CURRENCIES)})"
        said, supplied_on = self._discounts(), self._supplied_on()
        if seller is None or "итого.валюта" in self.faults or self.faults.keys() & _OF_SUMS:
            return None
        rows = self._rows(seller)
        is_whole_deal = rows is not self._card.rows  # one line in place of rows is what the client pays

        def count(discount: Discount | None) -> money.Totals:
            return money.totals(
                rows,
                amount=deal.amount,
                seller_rate=seller.rate,
                on=supplied_on,
                unsaid="own" if is_whole_deal else seller.unsaid,
                adds_vat=seller.adds_vat and not is_whole_deal,
                discount=discount,
                currency=deal.currency,
                is_amount_whole=deal.is_amount_whole,
            )

        if is_whole_deal or not said:
            return self._counted([None], count)
        totals = self._counted(said, count)
        if totals is None and (plain := self._counted([None], count)) and any(map(plain.has, said)):
            # The rows have it already: the field only says so.
            self.faults = {name: where for name, where in self.faults.items() if not _SUMS.match(name)}
            return plain
        return totals

    def _counted(
        self, discounts: Sequence[Discount | None], count: Callable[[Discount | None], money.Totals]
    ) -> money.Totals | None:
        """The sums with the first of these discounts that gives the amount; None, and why, for none."""
        reason: HeldError | None = None
        for discount in discounts:
            try:
                totals = count(discount)
            except HeldError as error:
                reason = reason or error
            else:
                self.discount = discount
                return totals
        if reason is not None:
            self._note(reason)
        return None

    def _discounts(self) -> tuple[Discount, ...]:
        """On the whole deal, as a field of it says: all that it may mean."""
        title, text = self._field_of("сделка.скидка", self._card.deal.fields)
        try:
            return discounts.parse(text, title) if text else ()
        except ValueError as error:
            self.faults["сделка.скидка"] = f"Сделка → поле «{title}» ({error})"
            return ()

    def _supplied_on(self) -> date:
        """The day whose tax law counts: of the supply where the deal names it, else of the document.

        Source: НК РФ, статья 167, пункт 1; the rate is that of the day of shipment.
        """
        title, text = self._field_of("сделка.отгрузка", self._card.deal.fields)
        if not text:
            return self._issued_on
        day = _day(text)
        if day is None:
            self.faults["сделка.отгрузка"] = f"Сделка → поле «{title}» («{text[:40]}» — не дата)"
        return day or self._issued_on

    def options(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """What can be added to these products; priced in rubles, so for deals in rubles alone."""
        if self._card.deal.currency != "RUB":
            return []
        return [
            _present({"название": option.name, "цена": option.price, "описание": option.text or None})
            for option in self._kit.products.options_for(names)
        ]

    def _prepayment(self) -> int | None:
        """The percentage paid in advance: all of it where the deal does not say, None for a text unclear."""
        title, text = self._field_of("сделка.предоплата", self._card.deal.fields)
        try:
            return prepayment.parse(text) if text else 100
        except ValueError as error:
            self.faults["сделка.предоплата"] = f"Сделка → поле «{title}» ({error})"
            return None

    def prepaid(self, total: Decimal) -> dict[str, Any]:
        """The total in two parts: before the delivery and after it."""
        share = self._prepayment()
        if share is None:
            return {}
        before, after = prepayment.parts(total, share)
        return {"предоплата": before, "остаток": after}

    def economics(self, total: Decimal) -> list[dict[str, Any]]:
        """The client's own case in figures, from fields of the deal, the company and the contact."""
        card = self._card
        fields: dict[str, str] = {}
        for owner in (card.main_contact, card.company, card.deal):
            fields.update(owner.fields if owner is not None else {})
        rows, faults = economics.counted(
            self._kit.economics, total, lambda titles: self._named("экономика", titles, fields)
        )
        self.faults.update(faults)
        return rows

    def row(self, at: int, line: money.Line) -> dict[str, Any]:
        look = self._kit.products.look(line.name)
        return _present(
            {
                "картинка": look.picture if look and look.picture else None,
                "описание": look.text if look and look.text else None,
                "номер": at,
                "название": self._text(f"товары[{at}].название", line.name),
                "количество": line.quantity,
                "единица": self._text(f"товары[{at}].единица", line.unit, 30) or "шт.",
                "цена": line.price,
                "полная_цена": line.full_price,
                "цена_без_скидки": line.full_price if line.discount else None,
                "скидка": line.discount or None,
                "скидка_документа": line.reduction or None,
                "скидка_всего": line.saved or None,
                "сумма": line.amount,
                "сумма_с_ндс": line.gross,
                "ставка": line.rate_text,
            }
        )

    def payment(self, subject: str, totals: money.Totals | None) -> dict[str, Any]:
        """The purpose of a payment, and the text of its QR code where one is possible (rubles)."""
        if totals is None or self.seller is None or not subject:
            return {}
        purpose = f"{subject}, {totals.purpose_vat_text}"
        result = {"назначение": purpose}
        if self._card.deal.currency != "RUB":
            return result
        seller = self.seller.data
        try:
            result["qr"] = payment_qr.payload(
                name=seller["название"],
                account=seller["счёт"],
                bank=seller["банк"][: payment_qr.MAX_LENGTH["BankName"]],
                bik=seller["бик"],
                corr_account=seller["корсчёт"],
                amount=totals.total,
                purpose=purpose,
                payee_inn=seller["инн"],
                payee_kpp=seller.get("кпп"),
            ).decode()
        except payment_qr.PaymentQrError as error:
            self.faults["оплата.qr"] = f"{PLACES['оплата.qr']} ({error})"
        return result

    def _checked(self, data: dict[str, Any]) -> dict[str, Any]:
        """`data` without requisites that cannot be right; each is named among the faults."""
        for key in ("инн", "кпп", "огрн", "бик", "счёт", "корсчёт"):
            data[key] = digits(data[key]) if data[key] else ""
        bik = data["бик"]
        checks: dict[str, Callable[[str], None]] = {
            "инн": requisites.check_inn,
            "кпп": requisites.check_kpp,
            "огрн": requisites.check_ogrn,
            "бик": requisites.check_bik,
            "счёт": lambda account: requisites.check_account(account, bik),
            "корсчёт": lambda account: requisites.check_corr_account(account, bik),
        }
        for key, check in checks.items():
            if not data[key]:
                continue
            try:
                check(data[key])
            except RequisiteError as error:
                self._fault(f"клиент.{key}", str(error))
                data[key] = ""
        if data["инн"] and len(data["инн"]) == 12:
            data["кпп"] = ""  # an entrepreneur has none
        return data

    def _decline(self, data: dict[str, Any], key: str, decline: Callable[[str], str | None]) -> None:
        """Fill «…_родительный»: what a person wrote wins, then the rules; in doubt it stays absent."""
        target, text = f"{key}_родительный", data[key]
        if data[target] or not text:
            return
        data[target] = self._kit.genitive(text) or decline(text) or ""
        if not data[target]:
            self._fault(f"клиент.{target}", f"«{text}» не удалось просклонять уверенно")

    def _text(self, name: str, value: str, longest: int = 500) -> str:
        try:
            return clean_line(value, longest)
        except TooLongError as error:
            self._fault(name, str(error))
            return ""

    def _first(self, name: str, values: Sequence[str]) -> str:
        return next((text for text in (self._text(name, value) for value in values) if text), "")

    def _fields(self, owner: str, fields: Mapping[str, str]) -> dict[str, str]:
        found = {}
        for title, value in fields.items():
            key = self._text(f"{owner}.поля", title)
            try:
                text = clean(str(value), TEXT)
            except TooLongError as error:
                self.faults[f"{owner}.поля.{key}"] = f"поле «{key}» ({error})"
                continue
            if key and text:
                found[key] = text
        return found

    def _of_fields(self, name: str, fields: Mapping[str, str]) -> str:
        """The first of the CRM's own fields that the kit names for `name` and that is filled in."""
        return self._field_of(name, fields)[1]

    def _field_of(self, name: str, fields: Mapping[str, str]) -> tuple[str, str]:
        """The same with the field's title in front; two empty texts when none is filled in."""
        return self._named(name, self._kit.fields.get(name, ()), fields)

    def _named(self, name: str, titles: Sequence[str], fields: Mapping[str, str]) -> tuple[str, str]:
        given = {title.casefold().strip(): (title, value) for title, value in fields.items()}
        for wanted in titles:
            title, value = given.get(wanted.casefold(), ("", ""))
            if text := self._text(name, str(value)):
                return title, text
        return "", ""

    def _note(self, error: HeldError) -> None:
        self.faults.update({field.name: field.where for field in error.missing})

    def _fault(self, name: str, reason: str) -> None:
        self.faults[name] = f"{PLACES.get(name, name)} ({reason})"


def _total(totals: money.Totals, discount: Discount | None) -> dict[str, Any]:
    return _present(
        {
            "сумма": totals.total,
            "сумма_строк": totals.sum_of_lines,
            "валюта": totals.currency,
            "позиций": len(totals.lines),
            "ндс": totals.vat if totals.vat_shares else None,
            "ндс_по_ставкам": [
                {"ставка": rate_text(share.rate), "подпись": share.text, "сумма": share.vat}
                for share in totals.vat_shares
            ],
            "ндс_сверху": totals.is_on_top or None,
            "без_ндс": totals.exempt or None,
            "строка_ндс": totals.vat_text,
            "скидка": totals.discount or None,
            "скидка_на_документ": discount.text(totals.currency) if discount else None,
        }
    )


def _day(text: str) -> date | None:
    """A date as a CRM gives it or a person types it: 2026-11-24, perhaps with a time, or 24.11.2026."""
    try:
        if found := re.match(r"(\d{2})\.(\d{2})\.(\d{4})\b", text):
            return date(int(found[3]), int(found[2]), int(found[1]))
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _issued(issued: Issued) -> dict[str, Any]:
    return _present(
        {
            "вид": issued.kind,
            "название": issued.title,
            "номер": issued.number,
            "дата": issued.issued_on,
            "сумма": issued.total,
            "ссылка": issued.url,
        }
    )


def _address(name: str) -> str:
    """How a letter addresses a person: name and patronymic when it can tell them apart, else all of it."""
    parts = name.split()
    if len(parts) == 3 and _PATRONYMIC.search(parts[2]):
        return " ".join(parts[1:])
    if len(parts) == 3 and _PATRONYMIC.search(parts[1]):
        return " ".join(parts[:2])
    return name


def _signing(data: Mapping[str, Any]) -> dict[str, str]:
    """Who signs, and the words of a preamble that agree with him."""
    if data["вид"] == "ИП":
        name = re.sub(r"^(?:ИП|Индивидуальный предприниматель)\s+", "", data["название"])
        return {"подписант": name, "именуемое": participles(name)["именуемое"]}
    words = {"именуемое": "именуемое", "подписант": data["директор"]}
    return (
        {**words, "действующего": participles(data["директор"])["действующего"]}
        if data["директор"]
        else words
    )


def _is_trader(data: Mapping[str, Any]) -> bool:
    return re.match(r"(?:ИП|Индивидуальный предприниматель)\s", str(data.get("название") or "")) is not None


def _present(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None and value not in ("", [], {})}
