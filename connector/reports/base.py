"""What a report is: a name, a way to its data from facts, and what rendering makes of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from connector.figures.base import Facts
from connector.figures.plan import IsWorking, Plan, weekdays


@dataclass(frozen=True, slots=True)
class ReportInput:
    """What the numbers of a report come from; its moment is `facts.as_of`."""

    facts: Facts
    plans: Sequence[Plan] = ()
    is_working: IsWorking = weekdays
    #: (person, metric) -> what the first day after `facts.last_day` asks for.
    today: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)
    #: Headlines of what lags this week.
    lagging: Sequence[str] = ()


class ReportData(Protocol):
    """All that a report's templates show; each report has a frozen dataclass of its own."""

    @property
    def title(self) -> str:
        """The headline: subject of the letter, title of the post."""


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the table of reports. `name` is also that of its templates; `summary` is for people."""

    name: str
    summary: str
    build: Callable[[ReportInput], ReportData]


@dataclass(frozen=True, slots=True)
class RenderedReport:
    """One report ready to leave: `text` for the CRM and messengers, `html` for a letter."""

    title: str
    text: str
    html: str
