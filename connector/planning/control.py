"""Is the week on its way: which numbers lag more than chance explains, and where the chain broke. Pure.

A number of things done is taken as a random count around what the plan asks for by now (Poisson); a meeting
agreed for a day either takes place or does not (binomial). An alarm is raised when so few would come about by
chance less often than in one of fifty looks, on some day from the second of the week on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from connector.figures.plan import MONEY_METRICS
from connector.planning.chance import binomial_tail, poisson_tail

#: So rarely do as few come about by chance; several looks a week stay below 5 % together (measured).
SELDOM = 0.02

#: An alarm is over when the number would come about as often as this.
RECOVERED = 0.2

#: Meetings agreed that take place, when the department's own past cannot tell.
USUAL_SHOW_RATE = 0.85

#: What must be agreed before a show rate of one's own is believed.
MIN_AGREED = 20

#: From cause to effect. `agreed`: meetings agreed for the days that have passed.
CHAIN = ("calls", "agreed", "meetings", "contracts", "invoices", "won")

Kind = Literal["behind", "no_shows"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One person's (or `all`) week up to now: metric -> done, metric -> due by now, metric -> the whole week.

    `due` and `planned` hold what is planned, and what the past makes one expect of metrics without a plan.
    agreed, held: meetings agreed for the days gone, and how many of these took place. show_rate: share of
    agreed meetings that usually take place.
    """

    person: str
    done: Mapping[str, Decimal]
    due: Mapping[str, Decimal]
    planned: Mapping[str, Decimal]
    agreed: int = 0
    held: int = 0
    show_rate: float = USUAL_SHOW_RATE


@dataclass(frozen=True, slots=True)
class Signal:
    """What is to be said of one person and metric.

    chance: how often so few would come about with everything in order. link: (cause, effect) of CHAIN where
    it broke, equal when the effect has no cause here and is itself too little. per_day: whole numbers for the
    working days left in the week, in their order; empty when none is left.
    """

    kind: Kind
    person: str
    metric: str
    done: Decimal
    due: Decimal
    planned: Decimal
    chance: float
    link: tuple[str, str]
    per_day: tuple[tuple[date, int], ...]

    @property
    def missing(self) -> Decimal:
        """What the week still lacks."""
        return max(self.planned - self.done, Decimal(0))


def signals(standings: Sequence[Standing], days_left: Sequence[date]) -> list[Signal]:
    """What needs a word now, the least probable first; at most one signal a person and metric.

    Money and metrics without a plan raise none: a revenue of two large deals a month is no count. A metric
    whose effect is behind too is not told twice: the earliest link of the chain speaks for those after it.
    """
    found: list[Signal] = []
    for standing in standings:
        mine = [*_behind(standing, days_left), *_no_shows(standing, days_left)]
        explained = {signal.link[0] for signal in mine if signal.link[0] != signal.metric}
        told = {signal.metric for signal in mine}
        # «Мало встреч, потому что мало звонков» already says that there are few calls.
        found += [s for s in mine if not (s.link == (s.metric, s.metric) and s.metric in explained & told)]
    return sorted(found, key=lambda signal: (signal.chance, signal.person, signal.metric))


def has_recovered(standing: Standing, metric: str, kind: Kind) -> bool:
    """Whether an alarm about this metric may close: the numbers are again such as chance brings about."""
    if kind == "no_shows":
        return binomial_tail(standing.held, standing.agreed, standing.show_rate) >= RECOVERED
    due = standing.due.get(metric, Decimal(0))
    return poisson_tail(int(standing.done.get(metric, 0)), float(due)) >= RECOVERED


def catch_up(missing: Decimal, days: Sequence[date]) -> tuple[tuple[date, int], ...]:
    """`missing` in whole numbers over the days left, the larger ones first; empty without a day."""
    units = int(missing.to_integral_value(ROUND_CEILING))
    if not days:
        return ()
    each, more = divmod(units, len(days))
    return tuple((day, each + (number < more)) for number, day in enumerate(days))


def _behind(standing: Standing, days_left: Sequence[date]) -> list[Signal]:
    found = []
    for metric, planned in standing.planned.items():
        due = standing.due.get(metric, Decimal(0))
        if metric in MONEY_METRICS or metric == "agreed" or not due:
            continue
        done = standing.done.get(metric, Decimal(0))
        chance = poisson_tail(int(done), float(due))
        if chance <= SELDOM:
            missing = max(planned - done, Decimal(0))
            found.append(
                Signal(
                    kind="behind",
                    person=standing.person,
                    metric=metric,
                    done=done,
                    due=due,
                    planned=planned,
                    chance=chance,
                    link=_broken_link(standing, metric),
                    per_day=catch_up(missing, days_left),
                )
            )
    return found


def _no_shows(standing: Standing, days_left: Sequence[date]) -> list[Signal]:
    chance = binomial_tail(standing.held, standing.agreed, standing.show_rate)
    if not standing.agreed or chance > SELDOM:
        return []
    planned = standing.planned.get("meetings", Decimal(standing.agreed))
    missing = max(planned - standing.held, Decimal(0))
    return [
        Signal(
            kind="no_shows",
            person=standing.person,
            metric="meetings",
            done=Decimal(standing.held),
            due=Decimal(standing.agreed),
            planned=planned,
            chance=chance,
            link=("agreed", "meetings"),
            per_day=catch_up(missing, days_left),
        )
    ]


def _broken_link(standing: Standing, metric: str) -> tuple[str, str]:
    """Up the chain as long as the cause is too little itself; the first cause in order ends the walk."""
    effect = metric
    while True:
        cause = _cause(standing, effect)
        if cause is None:
            return effect, effect
        if not _is_short(standing, cause):
            return cause, effect
        effect = cause


def _cause(standing: Standing, effect: str) -> str | None:
    """The nearest metric before `effect` of which something is known."""
    before = CHAIN[: CHAIN.index(effect)] if effect in CHAIN else ()
    return next((metric for metric in reversed(before) if standing.due.get(metric)), None)


def _is_short(standing: Standing, metric: str) -> bool:
    """Whether a cause is too little: a fifth below what is due, or less than chance explains."""
    done, due = standing.done.get(metric, Decimal(0)), standing.due[metric]
    return done < due * Decimal("0.8") or poisson_tail(int(done), float(due)) <= SELDOM
