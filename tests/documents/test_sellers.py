"""Which of our companies sells, and how its own words about VAT reach the sums of a document."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connector.documents.kit import Kit
from connector.documents.places import FAULTS
from connector.documents.render import RenderPool
from connector.documents.sample_deals import SAMPLES
from connector.documents.trial import sample_context
from connector.domain import DealCard, ProductRow
from connector.errors import ConfigError, HeldError
from tests.documents.samples import CARD, DEAL, build, kit
from tests.documents.sellers import FIELD, TRADER, kit_with_two_sellers

COMPANY_FILE = "documents/company.yml"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder: Path = tmp_path_factory.mktemp("sellers") / "kit"
    return Kit.load(kit_with_two_sellers(folder))


def edited(base: Kit, old: str, new: str) -> Kit:
    text = base.files[COMPANY_FILE].decode()
    assert old in text
    return Kit.from_files({**base.files, COMPANY_FILE: text.replace(old, new, 1).encode()})


def card(amount: str = "1000", *rows: ProductRow, currency: str = "RUB", **fields: str) -> DealCard:
    given = rows or (ProductRow("Монтаж", Decimal(1), Decimal(1000)),)
    deal = replace(DEAL, amount=Decimal(amount), fields=fields, currency=currency)
    return replace(CARD, rows=given, deal=deal)


@pytest.mark.parametrize(
    ("named", "key"),
    [
        ("", "северный-ветер"),
        ("ип-ветров", "ип-ветров"),
        (TRADER, "ип-ветров"),
        ("999900000160", "ип-ветров"),
        ("ооо  Северный  Ветер", "северный-ветер"),
        ("Общество с ограниченной ответственностью «Северный ветер»", "северный-ветер"),
    ],
)
def test_a_field_of_the_deal_names_the_seller(both: Kit, named: str, key: str) -> None:
    assert both.seller("Продажи", {"Другое": "да", FIELD.upper(): named}).key == key


def test_the_field_goes_before_the_pipeline_and_the_pipeline_before_the_main_one(both: Kit) -> None:
    switched = edited(both, "# воронки:\n#   Услуги: ип-ветров", "воронки:\n  Услуги: ип-ветров")
    assert switched.seller("Услуги").key == "ип-ветров"
    assert switched.seller("Услуги", {FIELD: "северный-ветер"}).key == "северный-ветер"
    assert switched.seller("Продажи", {FIELD: " "}).key == "северный-ветер"


def test_an_unknown_seller_holds_every_document_and_names_ours(both: Kit, pool: RenderPool) -> None:
    context = build(card(**{FIELD: "ООО «Юг»"}), kit=both)
    assert "продавец" not in context
    with pytest.raises(HeldError) as held:
        pool.check("invoice", context)
    (field,) = held.value.missing
    reason = f"компании «ООО „Юг“» нет в company.yml; есть: ООО «Северный ветер», {TRADER}"
    assert field.where == f"Сделка → поле «{FIELD}» ({reason})"


def test_a_name_that_two_companies_bear_is_asked_about(both: Kit) -> None:
    twins = edited(both, f"название: {TRADER}", "название: ООО «Северный ветер»")
    with pytest.raises(HeldError) as held:
        twins.seller("", {FIELD: "ООО «Северный ветер»"})
    assert "укажите ключ: северный-ветер, ип-ветров" in held.value.missing[0].where


def test_each_seller_counts_its_own_numbers(both: Kit) -> None:
    template = both.documents["invoice"]
    assert len({template.series(key) for key in both.companies.sellers}) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ндс: 22 ", "ндс: 18 ", "ставка НДС «18»: нужно 22, 20, 10, 7, 5, 0 или «нет»"),
        ("# ндс_сверху: да ", "ндс_сверху: иногда ", "нужно «да» или «нет», а не «иногда»"),
        ("    ндс: нет", "    ндс: нет\n    ндс_сверху: да", "сверху нечего добавлять"),
        ("# ставка_не_указана: без НДС ", "ставка_не_указана: авось ", "«авось»: можно"),
        ("  ип-ветров:", f"  {'и' * 31}:", "длиннее 30 знаков"),
    ],
)
def test_mistakes_about_vat_are_named(both: Kit, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        edited(both, old, new)
    assert message in " ".join(map(str, error.value.problems))


def test_prices_without_vat_get_it_on_top() -> None:
    adding = edited(kit(), "# ндс_сверху: да ", "ндс_сверху: да ")
    context = build(card("1220"), kit=adding)
    assert context["итого"]["ндс_сверху"]
    assert (context["итого"]["сумма_строк"], context["итого"]["сумма"]) == (1000, 1220)
    assert context["товары"][0]["сумма_с_ндс"] == 1220
    assert "разница" in build(card("1000"), kit=adding)[FAULTS]["итого.сумма"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ндс: 22 ", "ндс: 22 "),
        ("ндс: 22 ", "ндс: 5 "),
        ("ндс: 22 ", "ндс: 10 "),
        ("ндс: 22 ", "ндс: нет "),
        ("# ндс_сверху: да ", "ндс_сверху: да "),
        ("# ставка_не_указана: без НДС ", "ставка_не_указана: ждать "),
        ("# ставка_не_указана: без НДС ", "ставка_не_указана: без НДС "),
    ],
)
def test_the_invented_deals_suit_every_seller(old: str, new: str) -> None:
    """Else a template would be tried without its sums."""
    changed = edited(kit(), old, new)
    for sample in SAMPLES.values():
        context = sample_context(changed, sample, "invoice")
        assert "сумма" in context["итого"], (sample.title, context[FAULTS])


def test_a_discount_on_the_deal_is_spread_and_named() -> None:
    rows = tuple(ProductRow(f"Товар {at}", Decimal(1), Decimal("33.33")) for at in range(3))
    context = build(card("89.99", *rows, **{"Скидка, %": "10"}))
    assert [row["сумма"] for row in context["товары"]] == [
        *(Decimal("29.99"), Decimal("30.00"), Decimal("30.00")),
    ]
    assert (context["итого"]["скидка"], context["итого"]["скидка_на_документ"]) == (
        Decimal("10.00"),
        "10\u00a0%",
    )


@pytest.mark.parametrize(
    ("said", "amount", "shown"),
    [("10", "900", "10\u00a0%"), ("10", "990", "10,00\u00a0₽"), ("100", "900", "100,00\u00a0₽")],
)
def test_the_amount_tells_what_a_bare_number_means(said: str, amount: str, shown: str) -> None:
    context = build(card(amount, Скидка=said))
    assert context["итого"]["скидка_на_документ"] == shown
    assert FAULTS not in context or not context[FAULTS]


def test_a_discount_that_the_rows_have_already_is_not_taken_twice() -> None:
    row = ProductRow("Монтаж", Decimal(2), Decimal(450), discount=Decimal(50))
    context = build(card("900", row, Скидка="10 %"))
    assert (context["итого"]["сумма"], context["итого"]["скидка"]) == (900, 100)
    assert "скидка_на_документ" not in context["итого"]
    assert context[FAULTS] == {}
    assert "разница" in build(card("900", row, Скидка="20 %"))[FAULTS]["итого.сумма"]


@pytest.mark.parametrize("said", ["2025-12-30", "2025-12-30T10:00:00+03:00", "30.12.2025"])
def test_the_day_of_supply_decides_on_the_rate(said: str) -> None:
    context = build(card(**{"Дата отгрузки": said}), kind="act")
    assert context["товары"][0]["ставка"] == "20\u00a0%"
    assert context["документ"]["дата"] == date(2026, 11, 24)


def test_kopecks_of_the_rows_reach_every_sum() -> None:
    whole = card("1000", ProductRow("Монтаж", Decimal(1), Decimal("1000.55")))
    context = build(replace(whole, deal=replace(whole.deal, is_amount_whole=True)))
    assert context["сделка"]["сумма"] == context["итого"]["сумма"] == Decimal("1000.55")


def test_a_currency_that_cannot_be_written_in_words_holds_the_document(pool: RenderPool) -> None:
    with pytest.raises(HeldError) as held:
        pool.check("invoice", build(card(currency="XAU")))
    assert held.value.missing[0].where.startswith("Сделка → Валюта («XAU», есть: RUB, USD")
    dollars = build(card(currency="USD"))
    assert dollars["итого"]["строка_ндс"].endswith("$")
    assert "qr" not in dollars["оплата"]
