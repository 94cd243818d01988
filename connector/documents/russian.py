"""How Russian papers write dates, amounts, quantities and percentages. Pure."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

#: No-break space: an amount or a date must not fall apart at the end of a line.
NBSP = "\u00a0"

_MONTHS = (
    *("января", "февраля", "марта", "апреля", "мая", "июня"),
    *("июля", "августа", "сентября", "октября", "ноября", "декабря"),
)
_SIGNS = {"RUB": "₽", "USD": "$", "EUR": "€", "KZT": "₸", "BYN": "Br"}


def date_in_words(day: date) -> str:
    """«24 ноября 2026 г.»"""
    return f"{day.day}{NBSP}{_MONTHS[day.month - 1]} {day.year}{NBSP}г."


def short_date(day: date) -> str:
    """«24.11.2026»"""
    return f"{day:%d.%m.%Y}"


def number(value: Decimal, places: int = 2) -> str:
    """«12 345,60»: thousands parted by a no-break space, a comma before the hundredths."""
    rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    sign = "−" if rounded < 0 else ""
    return sign + f"{abs(rounded):,f}".replace(",", NBSP).replace(".", ",")


def money(amount: Decimal, currency: str = "RUB") -> str:
    """«12 345,60 ₽»; a currency without a known sign is named by its code."""
    return f"{number(amount)}{NBSP}{_SIGNS.get(currency, currency)}"


def quantity(value: Decimal) -> str:
    """«2», «2,5», «1 000»: no zeros behind the comma that say nothing."""
    whole, _, part = f"{value:,f}".partition(".")
    part = part.rstrip("0")
    return whole.replace(",", NBSP) + ("," + part if part else "")


def percent(rate: Decimal) -> str:
    """«22 %»"""
    return f"{quantity(rate)}{NBSP}%"


def inner_quotes(text: str) -> str:
    """A text that is to stand in «»: its own quotes become the inner ones, „“."""
    return text.replace("«", "„").replace("»", "“")
