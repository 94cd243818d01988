"""A department's month as whole numbers of each person and working day.

Everything is a whole number of units (kopecks of money, pieces of the rest), and every sum is exact: the
people's parts add up to the department, the days to the month. Pure; knows no CRM and no playbook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from connector.figures.plan import MONEY_METRICS, IsWorking, Plan, days, next_month
from connector.figures.stats import NONE
from connector.playbook.shares import largest_remainder

#: What a target may ask for, in the order of the sale.
TARGET_METRICS = ("calls", "meetings", "contracts", "invoices", "won", "revenue")

#: The share of full power in the 1st, 2nd, … month of a newcomer when the playbook says nothing else.
DEFAULT_RAMP = (Decimal("0.25"), Decimal("0.5"), Decimal("0.75"))


@dataclass(frozen=True, slots=True)
class Seller:
    """One person of the department in a month.

    weight: of the playbook's `split`. absences: [first, last] days away, both inclusive. since, until: first
    and last day in the department, None for always. ramp: shares of full power by month since `since`; empty
    for somebody who came with experience.
    """

    user_id: str
    weight: Decimal
    absences: tuple[tuple[date, date], ...] = ()
    since: date | None = None
    until: date | None = None
    ramp: tuple[Decimal, ...] = ()

    def power(self, day: date) -> Decimal:
        """The share of a full working day that is expected of the person: 0 away, 1 in full strength."""
        if (self.since and day < self.since) or (self.until and day > self.until):
            return Decimal(0)
        if any(first <= day <= last for first, last in self.absences):
            return Decimal(0)
        if self.since and self.ramp:
            month = (day.year - self.since.year) * 12 + day.month - self.since.month
            month -= day.day < self.since.day
            if month < len(self.ramp):
                return self.ramp[month]
        return Decimal(1)


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The month of a department. Keys of people are user ids, `(none)` for what nobody could be given.

    shares: (person, metric) -> the month; atoms: (person, metric, working day) -> that day, zeros left out.
    """

    month: date
    shares: Mapping[tuple[str, str], Decimal]
    atoms: Mapping[tuple[str, str, date], Decimal] = field(repr=False)

    def plans(self) -> list[Plan]:
        """The shares as plans, by person and metric."""
        return [
            Plan(None if person == NONE else person, self.month, metric, value)
            for (person, metric), value in self.shares.items()
        ]

    def due(self, person: str, metric: str, until: date) -> Decimal:
        """What the person's days before `until` ask for."""
        return sum(
            (
                v
                for (who, what, day), v in self.atoms.items()
                if (who, what) == (person, metric) and day < until
            ),
            Decimal(0),
        )


def decompose(
    month: date, totals: Mapping[str, Decimal], sellers: Sequence[Seller], is_working: IsWorking
) -> Decomposition:
    """The month's totals (metric -> whole units or money) as numbers of people and days.

    A person's part goes by weight times the power of his working days in the month; what is left over by
    rounding goes to those who lost most by it. A person's days get theirs by the power of each day, spread so
    that the sum up to any day is the exact one rounded. With nobody to take it (no sellers, or none of them
    at work), all of it stands under `(none)` and is spread over the department's working days. A month
    without a working day is planned on its last day.

    Raises ValueError on a negative total, or on one that is no whole number of its units.
    """
    first, end = month.replace(day=1), next_month(month)
    working = [day for day in days(first, end) if is_working(day)] or [*days(first, end)][-1:]
    powers = {seller.user_id: [seller.power(day) for day in working] for seller in sellers}
    weights = {seller.user_id: seller.weight * sum(powers[seller.user_id]) for seller in sellers}
    if not any(weights.values()):
        weights, powers = {NONE: Decimal(1)}, {NONE: [Decimal(1)] * len(working)}

    shares: dict[tuple[str, str], Decimal] = {}
    atoms: dict[tuple[str, str, date], Decimal] = {}
    for metric, total in totals.items():
        unit = unit_of(metric)
        if total < 0 or total % unit:
            raise ValueError(f"{metric}: {total} is no whole number of {unit}")
        for person, units in _split(total / unit, weights).items():
            shares[person, metric] = (units * unit).quantize(unit)
            for day, part in zip(working, _spread(int(units), powers[person]), strict=True):
                if part:
                    atoms[person, metric, day] = part * unit
    return Decomposition(first, shares, atoms)


def unit_of(metric: str) -> Decimal:
    """What the metric is counted in: a kopeck of money, one of the rest."""
    return Decimal("0.01") if metric in MONEY_METRICS else Decimal(1)


def _split(units: Decimal, weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    # The rule of `largest_remainder` counts hundredths.
    return {person: share * 100 for person, share in largest_remainder(units / 100, weights).items()}


def _spread(units: int, powers: Sequence[Decimal]) -> list[int]:
    """`units` over days: up to each day the exact sum, rounded half up; after the last one all of them."""
    total = sum(powers)
    if not total:
        return [0] * len(powers)
    parts, before, power = [], 0, Decimal(0)
    for of_day in powers:
        power += of_day
        upto = int((2 * units * power + total) // (2 * total))
        parts.append(upto - before)
        before = upto
    return parts
