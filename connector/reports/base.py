"""What a report is: a name, a way to its data from facts, and what rendering makes of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from connector.charts import Chart
from connector.figures.base import Facts
from connector.figures.plan import IsWorking, Plan, weekdays

#: Stands in a report's HTML for the address of its page, which is a secret and known only when it is sent.
PAGE = "report:page"


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


@dataclass(frozen=True, slots=True)
class DealSet:
    """The deals behind one number. `title` heads their list."""

    title: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """What every report shows; each has a frozen dataclass of its own that adds to this.

    title: the headline, subject of the letter, title of the post. deals: key -> the deals behind a number;
    a template makes the number a link to them by `{{ number|сделки("key") }}`.
    """

    title: str
    charts: tuple[Chart, ...] = ()
    deals: Mapping[str, DealSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """One line of the table of reports. `name` is also that of its templates; `summary` is for people."""

    name: str
    summary: str
    build: Callable[[ReportInput], ReportData]


@dataclass(frozen=True, slots=True)
class RenderedReport:
    """One report ready to leave: `text` for the CRM and messengers, `html` for letter, page and PDF.

    In `html` the page's address is still `PAGE`, and a chart's picture is `asset:chart-1.png` and so on.
    """

    title: str
    text: str
    html: str
    charts: tuple[Chart, ...] = ()
    deals: Mapping[str, DealSet] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DealLink:
    """One deal in the list behind a number, as the CRM has it now; `url` opens it there."""

    name: str
    manager: str
    amount: Decimal | None
    currency: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DealPage(ReportData):
    """The deals behind one number."""

    lines: tuple[DealLink, ...]
    complete_until: str = ""
    foreign: int = 0
