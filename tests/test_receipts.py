"""Receipts of 54-ФЗ: out of a kept invoice, over the official SDK, into the sandbox's YooKassa."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from connector.clock import FixedClock
from connector.documents.discounts import Discount
from connector.documents.freeze import freeze
from connector.documents.money import totals
from connector.domain import DealCard, ProductRow
from connector.errors import PaymentError
from connector.payments.base import Receipt
from connector.payments.yookassa import VAT_CODES, VAT_CODES_IN_ADVANCE
from connector.receipts import MAX_ITEMS, receipt_of
from connector.store import archive
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from tests.conftest import NOON
from tests.documents.samples import CARD, COMPANY, CONTACT, DEAL, build
from tests.paydesk import PayDesk

DAY = date(2026, 11, 24)
ROWS = (
    ProductRow("Кофемашина", Decimal(2), Decimal("183000.50"), "шт.", vat_rate=Decimal(22)),
    ProductRow("Кофе в зёрнах", Decimal("12.5"), Decimal("1980"), "кг", vat_rate=Decimal(10)),
    ProductRow("Обучение", Decimal(1), Decimal("24400"), "усл.", is_vat_free=True),
    ProductRow("Подарок", Decimal(1), Decimal(0)),
)
AMOUNT = Decimal("415151.00")


def card(rows: tuple[ProductRow, ...] = ROWS, amount: Decimal = AMOUNT, **fields: str) -> DealCard:
    return replace(CARD, rows=rows, deal=replace(DEAL, amount=amount, fields=fields))


def kept(db: Database, deal: DealCard) -> ArchivedDocument:
    """The invoice of the deal, as the product keeps it."""
    context = build(deal)
    assert context["итого"]["сумма"]
    with db.begin() as conn:
        document_id = archive.save(
            conn,
            account="main",
            outbox_key="invoice",
            deal_id="7",
            kind="invoice",
            title="Счёт на оплату",
            series="invoice/main",
            ordinal=1,
            number="2026-0001",
            issued_on=DAY,
            total=context["итого"]["сумма"],
            currency="RUB",
            template_sha256="a" * 64,
            context=freeze(context),
            files=[],
            now=NOON,
        )
        found = archive.by_id(conn, "main", document_id)
    assert found is not None
    return found


def receipt(db: Database, deal: DealCard, amount: Decimal | None = None) -> Receipt:
    document = kept(db, deal)
    found = receipt_of(document, document.total if amount is None else amount)  # type: ignore[arg-type]
    assert found is not None
    return found


def total(of: Receipt) -> Decimal:
    return sum((item.price * item.quantity for item in of.items), Decimal(0))


def test_positions_are_the_rows_of_the_invoice_and_add_up(db: Database) -> None:
    made = receipt(db, card())
    assert [(item.name, item.quantity, item.price, item.vat_rate) for item in made.items] == [
        ("Кофемашина", 2, Decimal("183000.50"), 22),
        ("Кофе в зёрнах (12,5 кг)", 1, Decimal("24750.00"), 10),
        ("Обучение", 1, Decimal("24400.00"), None),
    ]
    assert [item.is_service for item in made.items] == [False, False, True]
    assert (made.email, made.phone) == (CONTACT.emails[0], "74950001122")
    assert (made.payer, made.inn) == (COMPANY.requisites.full_name, COMPANY.requisites.inn)


def test_a_part_of_the_sum_is_spread_over_the_positions(db: Database) -> None:
    made = receipt(db, card(), Decimal("100000.01"))
    assert total(made) == Decimal("100000.01")
    assert [item.vat_rate for item in made.items] == [22, 10, None]


def test_vat_on_top_and_a_discount_are_in_the_prices(db: Database) -> None:
    rows = (ProductRow("Станок", Decimal(3), Decimal("122"), net_price=Decimal(100), vat_rate=Decimal(22)),)
    made = receipt(db, card(rows, Decimal("329.40"), Скидка="10 %"))
    (item,) = made.items
    assert (item.quantity, item.price) == (3, Decimal("109.80"))


def test_a_long_invoice_is_told_by_rate(db: Database) -> None:
    rows = tuple(
        ProductRow(f"Деталь {at}", Decimal(1), Decimal(at), vat_rate=Decimal(22 if at % 2 else 10))
        for at in range(1, MAX_ITEMS + 2)
    )
    made = receipt(db, card(rows, sum((row.price for row in rows), Decimal(0))))
    assert [(item.vat_rate, item.name) for item in made.items] == [
        (22, "Товары и услуги по счёту № 2026-0001"),
        (10, "Товары и услуги по счёту № 2026-0001"),
    ]
    assert total(made) == sum(range(1, MAX_ITEMS + 2))


def test_positions_add_up_whatever_the_rows(db: Database) -> None:
    """The lines of random invoices, through the very way that a document takes."""
    document, rng = kept(db, card()), random.Random(54)
    for _ in range(500):
        rows = [
            ProductRow(
                "Товар",
                Decimal(rng.randrange(1, 9_000)) / rng.choice((1, 10, 1000)),
                Decimal(rng.randrange(1, 10**7)) / 100,
                vat_rate=rng.choice((None, Decimal(0), Decimal(10), Decimal(22))),
            )
            for _ in range(rng.randint(1, 9))
        ]
        amount = sum((_kopecks(row) for row in rows), Decimal(0))
        off = Discount(amount=Decimal(rng.randrange(int(amount * 100) // 2 + 1)) / 100)
        if amount <= 0:
            continue
        counted = totals(rows, amount=amount - off.off(amount), seller_rate=Decimal(22), on=DAY, discount=off)
        lines = [
            {
                "название": line.name,
                "количество": line.quantity,
                "единица": "шт.",
                "сумма": line.amount,
                "сумма_с_ндс": line.gross,
                "ставка": line.rate_text,
            }
            for line in counted.lines
        ]
        made = receipt_of(replace(document, context=freeze({"товары": lines})), counted.total)
        assert made is not None
        assert total(made) == counted.total


def _kopecks(row: ProductRow) -> Decimal:
    numerator, denominator = (row.price * row.quantity * 100).as_integer_ratio()
    return Decimal((2 * numerator + denominator) // (2 * denominator)) / 100


@pytest.mark.parametrize(
    ("emails", "phones", "email", "phone"),
    [
        (("a@b.example",), (), "a@b.example", ""),
        (("no address",), ("8 (900) 000-00-01",), "", "79000000001"),
        ((), ("900 000 00 01",), "", "79000000001"),
        ((), ("+44 20 0000 0000",), "", ""),
    ],
)
def test_where_the_receipt_goes(
    db: Database, emails: tuple[str, ...], phones: tuple[str, ...], email: str, phone: str
) -> None:
    person = replace(CONTACT, emails=emails, phones=phones)
    firm = replace(COMPANY, emails=(), phones=())
    made = receipt(db, replace(card(), contacts=(person,), company=firm))
    assert (made.email, made.phone) == (email, phone)


@pytest.fixture(params=["prepayment", "payment"])
def selling(db: Database, clock: FixedClock, request: pytest.FixtureRequest) -> Iterator[PayDesk]:
    with PayDesk(db, clock, receipts=request.param, tax_system=1) as desk:
        yield desk


def test_the_official_sdk_brings_the_receipt_to_yookassa(selling: PayDesk) -> None:
    document = kept(selling.db, card())
    payment_id = selling.open_payment(document.id)
    sent = selling.shop.receipt(payment_id)
    assert sent is not None
    in_advance = selling.config.payment.receipts == "prepayment"
    codes = [12, 5, 1] if in_advance else [11, 3, 1]
    assert [item["vat_code"] for item in sent["items"]] == codes
    assert {item["payment_mode"] for item in sent["items"]} == {
        "full_prepayment" if in_advance else "full_payment"
    }
    assert [item["payment_subject"] for item in sent["items"]] == ["commodity", "commodity", "service"]
    assert sent["tax_system_code"] == 1
    assert sent["customer"]["email"] == CONTACT.emails[0]
    (payment,) = selling.shop.payments()
    assert payment["amount"]["value"] == "415151.00"
    assert payment["receipt_registration"] == "pending"


def test_without_an_address_no_payment_begins_and_it_is_said_why(selling: PayDesk) -> None:
    person = replace(CONTACT, emails=(), phones=())
    firm = replace(COMPANY, emails=(), phones=())
    document = kept(selling.db, replace(card(), contacts=(person,), company=firm))
    invoice = selling.paying.invoice("main", document.id, selling.config.pay_token(document.id))
    assert invoice is not None
    with pytest.raises(PaymentError, match="для чека нужен e-mail или телефон"):
        selling.paying.begin(invoice)
    assert selling.shop.payments() == []


def test_without_the_setting_no_receipt_is_sent(db: Database, clock: FixedClock) -> None:
    with PayDesk(db, clock) as desk:
        assert desk.shop.receipt(desk.open_payment(kept(db, card()).id)) is None


def test_every_rate_of_a_document_has_its_code() -> None:
    assert VAT_CODES.keys() == VAT_CODES_IN_ADVANCE.keys() == {None, *map(Decimal, (0, 5, 7, 10, 20, 22))}
    assert {*VAT_CODES.values(), *VAT_CODES_IN_ADVANCE.values()} == set(range(1, 13))
