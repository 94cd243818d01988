"""The history format in memory: a sales department's past, one tuple a row, one list a table.

Shapes only: `history_files` reads and writes them, `generate` invents them, `history_load` puts them into
portals. The columns are those of the history format (`docs/definitions.md`), in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date as Day
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

#: The won and lost stages, shared by all pipelines.
WON_STAGE = 142
LOST_STAGE = 143


class CallRow(NamedTuple):
    call_id: int
    deal_id: int
    manager_id: int | None
    at: datetime
    direction: str
    answered: bool
    duration_s: int


class ChannelRow(NamedTuple):
    channel_id: str
    name: str


class DealRow(NamedTuple):
    deal_id: int
    name: str
    pipeline_id: int
    stage_id: int
    manager_id: int | None
    channel_id: str | None
    utm_source: str
    utm_medium: str
    utm_campaign: str
    price: Decimal | None
    created_at: datetime
    closed_at: datetime | None
    loss_reason_id: int | None
    is_deleted: bool
    deleted_at: datetime | None


class HolidayRow(NamedTuple):
    date: Day


class InvoiceRow(NamedTuple):
    invoice_id: int
    deal_id: int
    manager_id: int | None
    issued_at: datetime
    amount: Decimal
    status: str
    paid_at: datetime | None


class LossReasonRow(NamedTuple):
    loss_reason_id: int
    name: str


class ManagerRow(NamedTuple):
    manager_id: int
    name: str
    team: str
    tz: str
    hired_on: Day | None
    fired_on: Day | None


class MeetingRow(NamedTuple):
    meeting_id: int
    deal_id: int
    manager_id: int | None
    created_at: datetime
    planned_at: datetime | None
    held_at: datetime | None
    status: str


class MessageRow(NamedTuple):
    message_id: int
    deal_id: int
    manager_id: int | None
    at: datetime
    direction: str


class PlanRow(NamedTuple):
    manager_id: int
    month: Day
    metric: str
    plan: Decimal


class StageRow(NamedTuple):
    pipeline_id: int
    stage_id: int
    name: str
    sort: int
    kind: str
    is_qualified: bool
    is_key: bool


class TaskRow(NamedTuple):
    task_id: int
    deal_id: int
    manager_id: int | None
    created_at: datetime
    due_at: datetime
    completed_at: datetime | None


class TransitionRow(NamedTuple):
    event_id: int
    deal_id: int
    pipeline_id: int
    at: datetime
    from_stage_id: int | None
    to_stage_id: int
    changed_by: int | None


#: Every table with the tuple of its rows, in the order in which they are read: what others point at first.
TABLES: dict[str, type[Any]] = {
    "channels": ChannelRow,
    "loss_reasons": LossReasonRow,
    "managers": ManagerRow,
    "stages": StageRow,
    "deals": DealRow,
    "transitions": TransitionRow,
    "calls": CallRow,
    "messages": MessageRow,
    "meetings": MeetingRow,
    "tasks": TaskRow,
    "invoices": InvoiceRow,
    "plans": PlanRow,
    "holidays": HolidayRow,
}


@dataclass(frozen=True, slots=True)
class HistoryAccount:
    """`account.json`. `as_of_utc` is a local midnight before which everything has happened.

    `pipelines` names the pipelines by id; a folder without it shows them as «Воронка N».
    """

    tz: str
    as_of_utc: datetime
    last_day: Day
    period_from: Day
    period_to: Day
    work_start_hour: int = 9
    work_end_hour: int = 18
    work_weekdays: tuple[int, ...] = (1, 2, 3, 4, 5)
    currency: str = "RUB"
    revenue_goal: Decimal = Decimal(0)
    pipelines: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class History:
    """The whole past of one account."""

    account: HistoryAccount
    channels: list[ChannelRow] = field(default_factory=list)
    loss_reasons: list[LossReasonRow] = field(default_factory=list)
    managers: list[ManagerRow] = field(default_factory=list)
    stages: list[StageRow] = field(default_factory=list)
    deals: list[DealRow] = field(default_factory=list)
    transitions: list[TransitionRow] = field(default_factory=list)
    calls: list[CallRow] = field(default_factory=list)
    messages: list[MessageRow] = field(default_factory=list)
    meetings: list[MeetingRow] = field(default_factory=list)
    tasks: list[TaskRow] = field(default_factory=list)
    invoices: list[InvoiceRow] = field(default_factory=list)
    plans: list[PlanRow] = field(default_factory=list)
    holidays: list[HolidayRow] = field(default_factory=list)
