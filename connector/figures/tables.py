"""The list of figure tables: what can be asked for by name, and how it is called, typed and shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TextIO

from connector.domain import Period
from connector.figures.base import Facts
from connector.figures.counts import CountsRow, counts
from connector.figures.dwell import DwellRow, dwell
from connector.figures.export import Format, write
from connector.figures.funnel import (
    ChannelCohortRow,
    CohortRow,
    ManagerCohortRow,
    PeriodRow,
    funnel_cohort,
    funnel_cohort_by_channel,
    funnel_cohort_by_manager,
    funnel_period,
)
from connector.figures.kpi import KpiRow, kpi
from connector.figures.lead_quality import (
    LeadQualityRow,
    lead_quality_by_channel,
    lead_quality_by_source,
)
from connector.figures.loss_detail import LossDetailRow, loss_detail
from connector.figures.losses import LossRow, loss_reasons
from connector.figures.open_pipeline import OpenRow, open_pipeline
from connector.figures.pace import PaceRow, pace
from connector.figures.plan import IsWorking, Plan, weekdays
from connector.figures.reverse_funnel import (
    RatesRow,
    ReverseRow,
    cohort_period,
    reverse_funnel,
    reverse_funnel_rates,
)
from connector.figures.sales import SalesRow, sales
from connector.figures.stage_flow import StageFlowRow, stage_flow


@dataclass(frozen=True, slots=True)
class Question:
    """What a figure table is asked about; each takes what it needs."""

    period: Period
    plans: Sequence[Plan] = ()
    is_working: IsWorking = weekdays
    #: Revenue that the reverse funnel starts from, and when the deals were created whose rates it takes.
    goal: Decimal | None = None
    cohort: Period | None = None

    @property
    def rates_from(self) -> Period:
        """When the deals were created that the reverse funnel goes by."""
        return self.cohort or cohort_period(self.period)


@dataclass(frozen=True, slots=True)
class FigureTable:
    """One table of the definitions. `keys` are the columns it is sorted by, `money` those in currency."""

    name: str
    row: type[Any]
    compute: Callable[[Facts, Question], Sequence[Any]]
    keys: tuple[str, ...]
    money: tuple[str, ...] = ()

    def write(self, rows: Sequence[Any], format: Format, out: TextIO) -> None:
        """Write the rows as a file of the export format."""
        write(rows, format, out, row_type=self.row, keys=self.keys, money=self.money)


_STAGE = ("pipeline_id", "stage_id")

_TABLES = (
    FigureTable("counts", CountsRow, lambda facts, _: counts(facts), ()),
    FigureTable("dwell", DwellRow, lambda facts, q: dwell(facts, q.period), ("window", *_STAGE)),
    FigureTable("funnel_cohort", CohortRow, lambda facts, q: funnel_cohort(facts, q.period), _STAGE),
    FigureTable(
        "funnel_cohort_by_channel",
        ChannelCohortRow,
        lambda facts, q: funnel_cohort_by_channel(facts, q.period),
        ("channel", *_STAGE),
    ),
    FigureTable(
        "funnel_cohort_by_manager",
        ManagerCohortRow,
        lambda facts, q: funnel_cohort_by_manager(facts, q.period),
        ("manager", *_STAGE),
    ),
    FigureTable("funnel_period", PeriodRow, lambda facts, q: funnel_period(facts, q.period), _STAGE),
    FigureTable(
        "kpi",
        KpiRow,
        lambda facts, q: kpi(facts, q.period, q.plans, q.is_working),
        ("period", "manager", "start", "metric"),
        ("fact", "plan"),
    ),
    FigureTable(
        "loss_reasons",
        LossRow,
        lambda facts, q: loss_reasons(facts, q.period),
        ("dim", "key", "loss_reason_id"),
        ("lost_amount",),
    ),
    FigureTable(
        "open_pipeline", OpenRow, lambda facts, _: open_pipeline(facts), _STAGE, ("amount", "weighted_amount")
    ),
    FigureTable(
        "pace",
        PaceRow,
        lambda facts, q: pace(facts, q.plans, q.is_working),
        ("manager", "metric"),
        ("fact", "plan", "expected", "forecast", "needed_per_day"),
    ),
    *(
        FigureTable(
            f"lead_quality_by_{what}",
            LeadQualityRow,
            lambda facts, q, compute=compute: compute(facts, q.period),  # type: ignore[misc]
            ("key",),
            ("revenue",),
        )
        for what, compute in (("channel", lead_quality_by_channel), ("source", lead_quality_by_source))
    ),
    FigureTable(
        "reverse_funnel",
        ReverseRow,
        lambda facts, q: reverse_funnel(facts, q.rates_from, q.goal),
        ("pipeline",),
        ("goal", "avg_cheque"),
    ),
    FigureTable(
        "reverse_funnel_rates",
        RatesRow,
        lambda facts, q: reverse_funnel_rates(facts, q.rates_from),
        ("pipeline",),
        ("revenue",),
    ),
    FigureTable(
        "sales",
        SalesRow,
        lambda facts, q: sales(facts, q.period),
        ("dim", "key"),
        ("revenue", "avg_cheque", "avg_cheque_nonzero"),
    ),
)

#: Tables of our own beside those of the definitions.
_MORE = (
    FigureTable(
        "loss_detail",
        LossDetailRow,
        lambda facts, q: loss_detail(facts, q.period),
        ("loss_reason_id", "stage", "channel", "manager"),
        ("lost_amount",),
    ),
    FigureTable("stage_flow", StageFlowRow, lambda facts, q: stage_flow(facts, q.period), _STAGE),
)

#: All figure tables by name, as `connector report NAME --format csv|json` knows them.
FIGURES: dict[str, FigureTable] = {table.name: table for table in (*_TABLES, *_MORE)}
