"""How reports call days, months and differences in Russian. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from connector.documents import russian
from connector.documents.russian import NBSP
from connector.domain import Period
from connector.figures.base import Facts
from connector.figures.stats import NONE

MONTHS = (
    *("январь", "февраль", "март", "апрель", "май", "июнь"),
    *("июль", "август", "сентябрь", "октябрь", "ноябрь", "декабрь"),
)
MONTHS_OF = (
    *("января", "февраля", "марта", "апреля", "мая", "июня"),
    *("июля", "августа", "сентября", "октября", "ноября", "декабря"),
)
MONTHS_IN = (
    *("январе", "феврале", "марте", "апреле", "мае", "июне"),
    *("июле", "августе", "сентябре", "октябре", "ноябре", "декабре"),
)

#: How many characters of a deal's or reason's name a report shows.
NAME_LENGTH = 32


def day_of(day: date) -> str:
    """«23 ноября»"""
    return f"{day.day}{NBSP}{MONTHS_OF[day.month - 1]}"


def span(period: Period) -> str:
    """The days of a period: «23 ноября», «20–22 ноября», «30 октября – 1 ноября»."""
    first, last = period.start, period.end - timedelta(days=1)
    if first == last:
        return day_of(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{day_of(last)}"
    return f"{day_of(first)} – {day_of(last)}"


def dated_span(period: Period) -> str:
    """The same with the year: «20–22 ноября 2026 г.»"""
    return f"{span(period)} {(period.end - timedelta(days=1)).year}{NBSP}г."


def whole_money(amount: Decimal, currency: str) -> str:
    """«6 200 000 ₽»: no hundredths, which say nothing on a phone's screen."""
    full = russian.money(amount.quantize(Decimal(1), ROUND_HALF_UP), currency)
    return full.replace(",00", "", 1)


def whole_percent(value: Decimal | float) -> str:
    """«62 %» of a number of per cent."""
    return f"{russian.number(Decimal(value), 0)}{NBSP}%"


def shorten(name: str) -> str:
    """A name that fits beside a number on a phone's line."""
    name = " ".join(name.split())
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1].rstrip() + "…"


def quoted(name: str) -> str:
    """«ООО „Ромашка“, поставка»: quotes inside quotes are the other kind."""
    return f"«{russian.inner_quotes(shorten(name))}»"


def person(manager: str, names: dict[str, str], nobody: str = "Без ответственного") -> str:
    """What people call the owner of a group of deals."""
    return nobody if manager == NONE else shorten(names.get(manager, manager))


def gap_in_facts(facts: Facts) -> str:
    """«22.11, 18:05» when the facts were compared with the CRM up to then only, "" when up to the report."""
    until = facts.complete_until
    if until is None or until >= facts.as_of:
        return ""
    return f"{until.astimezone(facts.timezone):%d.%m, %H:%M}"


def difference(now: int, before: int) -> str:
    """What two numbers of deals say about each other.

    Both are taken as random counts (Poisson): a difference within two of its standard deviations, which are
    the root of their sum, may be chance and is called so.
    """
    if now == before:
        return "столько же"
    if (now - before) ** 2 <= 4 * (now + before):
        return "разница может быть случайной"
    return "заметно больше" if now > before else "заметно меньше"


def change_percent(now: Decimal, before: Decimal) -> int | None:
    """Whole per cent by which `now` differs from `before`; None when there is nothing to compare with."""
    return round((now - before) / before * 100) if before > 0 else None
