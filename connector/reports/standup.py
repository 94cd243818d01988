"""The morning meeting on one screen: what yesterday brought, what today asks of each, who won."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from connector.domain import Outcome, Period
from connector.figures.activity import daily_facts
from connector.figures.base import Facts
from connector.figures.stats import NONE
from connector.reports.base import DealSet, ReportData, ReportInput
from connector.reports.wording import dated_span, gap_in_facts, person, shorten, span

MAX_WINS = 4
MAX_PEOPLE = 8

#: What a day is made of, in the order of the sale, and how it is said: one, two, five.
METRICS: Mapping[str, tuple[str, str, str]] = {
    "calls": ("звонок", "звонка", "звонков"),
    "meetings": ("встреча", "встречи", "встреч"),
    "contracts": ("договор", "договора", "договоров"),
    "invoices": ("счёт", "счёта", "счетов"),
    "won": ("сделка", "сделки", "сделок"),
}


@dataclass(frozen=True, slots=True)
class Win:
    """A deal won. `amount` None: empty, or in another currency."""

    name: str
    amount: Decimal | None
    manager: str


@dataclass(frozen=True, slots=True)
class Part:
    """One number of a day with the words that it needs."""

    count: int
    words: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class PersonLine:
    """One person: what was done since the last working day, and what today asks for."""

    name: str
    done: tuple[Part, ...]
    today: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Standup(ReportData):
    """All that the report shows. `lagging`: headlines of open alarms."""

    currency: str
    days: str
    revenue: Decimal
    won: int
    wins: tuple[Win, ...]
    more_wins: int
    people: tuple[PersonLine, ...]
    more_people: int
    has_plan: bool
    lagging: tuple[str, ...]
    foreign: int
    complete_until: str


def standup(given: ReportInput) -> Standup:
    """The digest on the morning after `facts.last_day`."""
    facts = given.facts
    today = facts.last_day + timedelta(days=1)
    start = facts.last_day
    while not given.is_working(start) and (facts.last_day - start).days < 14:
        start -= timedelta(days=1)
    days = Period(start, today)
    won = [deal for deal in facts.closed_in(days) if deal.outcome is Outcome.WON]
    largest = sorted(won, key=lambda deal: (-deal.amount, deal.id))
    wins = largest if len(largest) <= MAX_WINS + 1 else largest[:MAX_WINS]
    people = _people(facts, days, given.today)
    shown = people if len(people) <= MAX_PEOPLE + 1 else people[:MAX_PEOPLE]
    return Standup(
        title=f"Планёрка {dated_span(Period(today, today + timedelta(days=1)))}",
        deals={"won": DealSet(f"Победы, {span(days)}", tuple(deal.id for deal in won))},
        currency=facts.currency or "RUB",
        days=span(days),
        revenue=sum((deal.amount for deal in won), Decimal(0)),
        won=len(won),
        wins=tuple(
            Win(
                shorten(deal.name),
                deal.amount or None,
                person(deal.manager, facts.user_names, nobody="без ответственного"),
            )
            for deal in wins
        ),
        more_wins=len(largest) - len(wins),
        people=tuple(shown),
        more_people=len(people) - len(shown),
        has_plan=any(line.today for line in people),
        lagging=tuple(given.lagging),
        foreign=sum(deal.is_foreign for deal in won),
        complete_until=gap_in_facts(facts),
    )


def _people(facts: Facts, days: Period, today: Mapping[tuple[str, str], Decimal]) -> list[PersonLine]:
    """Everybody who did something or has something to do today, by name."""
    done: dict[tuple[str, str], int] = {}
    for (manager, metric, _), value in daily_facts(facts, days).items():
        if metric in METRICS:
            done[manager, metric] = done.get((manager, metric), 0) + int(value)
    planned = {key: int(value) for key, value in today.items() if key[1] in METRICS}
    managers = {manager for manager, _ in (*done, *planned) if manager != NONE}
    lines = [PersonLine(person(m, facts.user_names), _parts(m, done), _parts(m, planned)) for m in managers]
    return sorted((line for line in lines if line.done or line.today), key=lambda line: line.name)


def _parts(manager: str, numbers: Mapping[tuple[str, str], int]) -> tuple[Part, ...]:
    found = ((numbers.get((manager, metric), 0), words) for metric, words in METRICS.items())
    return tuple(Part(count, words) for count, words in found if count)
