"""How papers write dates, amounts and quantities, and how strangers' text is cleaned."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.documents import russian
from connector.documents.clean import TooLongError, clean, clean_line, digits


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("12345.6", "RUB", "12 345,60 ₽"),
        ("0", "RUB", "0,00 ₽"),
        ("-1234567.895", "RUB", "−1 234 567,90 ₽"),
        ("999.995", "USD", "1 000,00 $"),
        ("1", "CNY", "1,00 CNY"),
        ("1E+6", "RUB", "1 000 000,00 ₽"),
    ],
)
def test_money(amount: str, currency: str, text: str) -> None:
    assert russian.money(Decimal(amount), currency) == text.replace(" ", russian.NBSP)


@pytest.mark.parametrize(
    ("value", "text"),
    [("2", "2"), ("2.500", "2,5"), ("1E+3", "1 000"), ("0.001", "0,001")],
)
def test_quantity(value: str, text: str) -> None:
    assert russian.quantity(Decimal(value)) == text.replace(" ", russian.NBSP)


def test_dates() -> None:
    assert russian.date_in_words(date(2026, 11, 24)) == "24\u00a0ноября 2026\u00a0г."
    assert russian.date_in_words(date(2026, 5, 1)) == "1\u00a0мая 2026\u00a0г."
    assert russian.short_date(date(2026, 1, 2)) == "02.01.2026"
    assert russian.percent(Decimal("22.0")) == "22\u00a0%"


@given(st.text())
def test_clean_text_holds_nothing_that_cannot_be_printed(text: str) -> None:
    try:
        cleaned = clean(text, 100)
    except TooLongError:
        assert len(text) > 25
        return
    assert len(cleaned) <= 100
    assert cleaned == clean(cleaned, 100)
    assert not any(char in cleaned for char in "\x00\x1b\x85\u202e\u2066\ufeff\r")
    cleaned.encode("utf-8")  # no lone surrogates


def test_a_long_text_is_reported_and_never_cut() -> None:
    assert clean("я" * 300, 300) == "я" * 300
    for text in ("я" * 301, "я" * 10_000_000):
        with pytest.raises(TooLongError, match="длиннее 300"):
            clean(text, 300)


def test_lines_and_numbers() -> None:
    assert clean_line(" ООО\t\n «А»   Б ") == "ООО «А» Б"
    assert clean("e\u0301") == "é"
    assert digits(" 7707\u00a0083 893\n") == "7707083893"
