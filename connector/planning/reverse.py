"""From the revenue wanted back to deals, invoices, meetings, calls and leads, with intervals. Pure.

The needed number of X is goal × ΣX / Σrevenue over the deals of a cohort, a ratio of two sums. Its interval
comes from the scatter of single deals (delta method for the logarithm of a ratio, Student's quantile for few
won deals): it says how well the department's own past knows the ratio, not how the month will go.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from connector.figures.cohort import CohortDeal
from connector.planning.chance import student

#: Fewer won deals than this are no history.
MIN_WON = 10

#: Steps from the end of the sale to its beginning.
STEPS = ("won", "with_invoice", "with_meeting", "with_call", "leads")


@dataclass(frozen=True, slots=True)
class Needed:
    """How many of a thing the goal asks for. low, high: the interval; None where the cohort has too few."""

    step: str
    value: Decimal
    low: Decimal | None
    high: Decimal | None
    in_cohort: int

    @property
    def whole(self) -> int:
        """The number rounded up: half a meeting brings no sale."""
        return int(self.value.to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class ReverseFunnel:
    """The way back from a goal. Steps that no deal of the cohort took are left out.

    activities: `calls`, `meetings`, `invoices` themselves, where `steps` counts deals that had any.
    """

    goal: Decimal
    won: int
    leads: int
    avg_cheque: Decimal
    steps: tuple[Needed, ...]
    activities: tuple[Needed, ...]

    @property
    def is_known(self) -> bool:
        """Whether enough was won to plan by."""
        return self.won >= MIN_WON

    def step(self, name: str) -> Needed | None:
        """The step of that name; None when no deal of the cohort took it."""
        return next((step for step in (*self.steps, *self.activities) if step.step == name), None)

    def targets(self) -> dict[str, Decimal]:
        """Whole numbers by target metric: activities for calls, meetings and invoices, deals for won."""
        found = {need.step: Decimal(need.whole) for need in self.activities}
        won = self.step("won")
        return {**found, "won": Decimal(won.whole)} if won else found


def reverse(goal: Decimal, cohort: Sequence[CohortDeal]) -> ReverseFunnel | None:
    """The reverse funnel of a goal; None when the cohort won nothing or only amounts of 0."""
    won = [deal for deal in cohort if deal.is_won]
    revenue = sum((deal.amount for deal in won), Decimal(0))
    if not won or revenue <= 0:
        return None
    amounts = [float(deal.amount) if deal.is_won else 0.0 for deal in cohort]

    def need(step: str, counts: Sequence[int]) -> Needed | None:
        total = sum(counts)
        if not total:
            return None
        value = goal * total / revenue
        spread = _spread(counts, amounts)
        low = high = None
        if len(won) >= MIN_WON:
            factor = math.exp(student(len(won) - 1) * spread)
            low, high = (Decimal(repr(round(float(value) * f, 6))) for f in (1 / factor, factor))
        return Needed(step, value, low, high, total)

    deals: Mapping[str, list[int]] = {
        "won": [int(deal.is_won) for deal in cohort],
        "with_invoice": [int(deal.invoices > 0) for deal in cohort],
        "with_meeting": [int(deal.meetings > 0) for deal in cohort],
        "with_call": [int(deal.calls_answered > 0) for deal in cohort],
        "leads": [1] * len(cohort),
    }
    activities: Mapping[str, list[int]] = {
        "invoices": [deal.invoices for deal in cohort],
        "meetings": [deal.meetings for deal in cohort],
        "calls": [deal.calls for deal in cohort],
    }
    return ReverseFunnel(
        goal=goal,
        won=len(won),
        leads=len(cohort),
        avg_cheque=revenue / len(won),
        steps=tuple(found for step in STEPS if (found := need(step, deals[step]))),
        activities=tuple(found for step, counts in activities.items() if (found := need(step, counts))),
    )


def _spread(counts: Sequence[int], amounts: Sequence[float]) -> float:
    """Standard deviation of log(Σcounts / Σamounts) over deals drawn anew."""
    total, money = sum(counts), math.fsum(amounts)
    return math.sqrt(
        math.fsum(
            (count / total - amount / money) ** 2 for count, amount in zip(counts, amounts, strict=True)
        )
    )
