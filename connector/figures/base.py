"""What every figure reads: deals and their moves as they stood at `as_of`, in the account's own days.

Pure of the wall clock and of any CRM. A report that runs late shows what it would have shown on time: a deal
that moved at or after `as_of` is shown at the stage it was in before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from connector.domain import Outcome, Period, Stage
from connector.figures.stats import NONE, natural
from connector.store.schema import (
    accounts,
    channels,
    deals,
    loss_reasons,
    missed_hooks,
    special_days,
    stage_changes,
    stages,
    users,
)

#: How many identifiers one statement may carry.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class DealFact:
    """A deal as it stood at `as_of`. `manager` and `channel` are group keys, never empty.

    `amount` is 0 where the CRM's field is empty, and where the deal is in another currency than the account's
    (`is_foreign`): such a deal counts in every number of deals and in no sum.
    """

    id: str
    name: str
    pipeline_id: str
    stage_id: str
    outcome: Outcome
    amount: Decimal
    manager: str
    channel: str
    loss_reason_id: str | None
    created_at: datetime
    closed_at: datetime | None
    is_foreign: bool = False

    @property
    def age_at_close_s(self) -> float:
        """Seconds from the creation to the last closing; only for a deal that has one."""
        assert self.closed_at is not None
        return (self.closed_at - self.created_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Move:
    """One stage change of a deal; both ends are (pipeline_id, stage_id), `source` None for the creation."""

    at: datetime
    source: tuple[str, str] | None
    target: tuple[str, str]


class Facts:
    """The facts of one account up to `as_of` (aware, exclusive); days are those of `timezone`.

    Deleted deals and the connector's own service deal are left out of everything but `count_deleted`.
    """

    def __init__(self, conn: Connection, account: str, timezone: ZoneInfo, as_of: datetime) -> None:
        if as_of.tzinfo is None:
            raise ValueError(f"naive as_of: {as_of!r}")
        self.conn = conn
        self.account = account
        self.timezone = timezone
        self.as_of = as_of.astimezone(UTC)

    # Days ---------------------------------------------------------------------------------------------------

    def day(self, at: datetime) -> date:
        """The account's local day of a moment."""
        return at.astimezone(self.timezone).date()

    def midnight(self, day: date) -> datetime:
        """The first instant of a local day, UTC."""
        return datetime.combine(day, time(), self.timezone).astimezone(UTC)

    def bounds(self, period: Period) -> tuple[datetime, datetime]:
        """The instants [start, end) of a period; nothing at or after `as_of` is in it."""
        end = min(self.midnight(period.end), self.as_of)
        return min(self.midnight(period.start), end), end

    @property
    def last_day(self) -> date:
        """The last local day of which something lies before `as_of`."""
        return self.day(self.as_of - timedelta(microseconds=1))

    # Names --------------------------------------------------------------------------------------------------

    @cached_property
    def stages(self) -> dict[tuple[str, str], Stage]:
        """All stages by (pipeline_id, stage_id)."""
        rows = self.conn.execute(select(stages).where(stages.c.account == self.account))
        return {
            (r.pipeline_id, r.stage_id): Stage(r.pipeline_id, r.stage_id, r.name, r.sort, Outcome(r.outcome))
            for r in rows
        }

    @cached_property
    def marks(self) -> dict[tuple[str, str], tuple[bool, bool]]:
        """Whether a stage means «qualified» and whether it is the key one, by (pipeline_id, stage_id)."""
        columns = (stages.c.pipeline_id, stages.c.stage_id, stages.c.is_qualified, stages.c.is_key)
        rows = self.conn.execute(select(*columns).where(stages.c.account == self.account))
        return {(r.pipeline_id, r.stage_id): (r.is_qualified, r.is_key) for r in rows}

    @cached_property
    def pipeline_names(self) -> dict[str, str]:
        """Names of pipelines by id."""
        columns = (stages.c.pipeline_id, stages.c.pipeline_name)
        rows = self.conn.execute(select(*columns).where(stages.c.account == self.account).distinct())
        return {row.pipeline_id: row.pipeline_name for row in rows}

    @cached_property
    def ladders(self) -> dict[str, tuple[Stage, ...]]:
        """Each pipeline's open stages by `sort`, then won; lost is no step of the way."""
        found: dict[str, list[Stage]] = {}
        for stage in self.stages.values():
            if stage.outcome is not Outcome.LOST:
                found.setdefault(stage.pipeline_id, []).append(stage)
        return {
            pipeline: tuple(sorted(steps, key=lambda s: (s.outcome is Outcome.WON, s.sort, natural(s.id))))
            for pipeline, steps in found.items()
        }

    @cached_property
    def user_names(self) -> dict[str, str]:
        """Names of the CRM's users by id, dismissed ones too."""
        rows = self.conn.execute(select(users).where(users.c.account == self.account))
        return {row.user_id: row.name for row in rows}

    @cached_property
    def reason_names(self) -> dict[str, str]:
        """Names of loss reasons by id."""
        rows = self.conn.execute(select(loss_reasons).where(loss_reasons.c.account == self.account))
        return {row.loss_reason_id: row.name for row in rows}

    @cached_property
    def channel_names(self) -> dict[str, str]:
        """Names of channels by id; empty where deals carry the name itself."""
        rows = self.conn.execute(select(channels).where(channels.c.account == self.account))
        return {row.channel_id: row.name for row in rows}

    @cached_property
    def currency(self) -> str | None:
        """The account's currency; None when the account has not told it yet."""
        return self.conn.execute(
            select(accounts.c.currency).where(accounts.c.account == self.account)
        ).scalar_one_or_none()

    @cached_property
    def complete_until(self) -> datetime | None:
        """Up to when our facts have been compared with the CRM's own; None before the first comparison."""
        return self.conn.execute(
            select(accounts.c.reconciled_until).where(accounts.c.account == self.account)
        ).scalar_one_or_none()

    def count_missed(self, period: Period) -> int:
        """How many changes no webhook told of in time, by the day on which reconcile found them."""
        statement = (
            select(func.count())
            .select_from(missed_hooks)
            .where(
                missed_hooks.c.account == self.account,
                missed_hooks.c.day >= period.start,
                missed_hooks.c.day < period.end,
            )
        )
        return int(self.conn.execute(statement).scalar_one())

    @cached_property
    def _special_days(self) -> dict[date, bool]:
        mine = special_days.c.account == self.account
        rows = self.conn.execute(select(special_days.c.day, special_days.c.is_working).where(mine))
        return {row.day: row.is_working for row in rows}

    def is_working_day(self, day: date) -> bool:
        """Monday to Friday, but for the days that the account's own files name."""
        return self._special_days.get(day, day.isoweekday() <= 5)

    def outcome(self, key: tuple[str, str] | None) -> Outcome | None:
        """Kind of a stage; None for no stage and for one that the CRM no longer has."""
        stage = self.stages.get(key) if key else None
        return stage.outcome if stage else None

    # Deals --------------------------------------------------------------------------------------------------

    def count_deleted(self) -> int:
        """How many deals created before `as_of` are deleted."""
        statement = select(func.count()).select_from(deals).where(self._existed, deals.c.is_deleted.is_(True))
        return int(self.conn.execute(statement).scalar_one())

    def all_deals(self) -> list[DealFact]:
        """Every kept deal."""
        return list(self._load())

    def created_in(self, period: Period) -> list[DealFact]:
        """Kept deals created in the period."""
        start, end = self.bounds(period)
        return list(self._load(deals.c.created_at >= start, deals.c.created_at < end))

    def closed_in(self, period: Period) -> list[DealFact]:
        """Kept deals that are won or lost and whose last closing lies in the period."""
        start, end = self.bounds(period)
        stayed = self._load(
            deals.c.closed_at >= start, deals.c.closed_at < end, deals.c.outcome != Outcome.OPEN.value
        )
        moved_back = (
            deal
            for deal in self._rewound.values()
            if deal.outcome is not Outcome.OPEN and deal.closed_at and start <= deal.closed_at < end
        )
        return [deal for deal in stayed if deal.id not in self._rewound] + list(moved_back)

    def open_deals(self) -> list[DealFact]:
        """Kept deals that are open."""
        stayed = self._load(deals.c.outcome == Outcome.OPEN.value)
        moved_back = (deal for deal in self._rewound.values() if deal.outcome is Outcome.OPEN)
        return [deal for deal in stayed if deal.id not in self._rewound] + list(moved_back)

    @cached_property
    def first_created_at(self) -> datetime | None:
        """When the first kept deal was created; None without deals."""
        kept = (self._existed, deals.c.is_deleted.is_(False))
        return self.conn.execute(
            select(deals.c.created_at).where(*kept).order_by(deals.c.created_at).limit(1)
        ).scalar_one_or_none()

    def alive_since(self, moment: datetime) -> list[DealFact]:
        """Kept deals that are open, or whose last closing is not before `moment`."""
        was_there = or_(
            deals.c.outcome == Outcome.OPEN.value, deals.c.closed_at.is_(None), deals.c.closed_at >= moment
        )
        stayed = [deal for deal in self._load(was_there) if deal.id not in self._rewound]
        return stayed + [d for d in self._rewound.values() if d.closed_at is None or d.closed_at >= moment]

    # Moves --------------------------------------------------------------------------------------------------

    def histories(self, of: Iterable[DealFact] | None = None) -> Iterator[tuple[str, list[Move]]]:
        """(deal_id, its moves before `as_of` in their order) of the given deals, or of every kept deal.

        Deals without a recorded move are left out.
        """
        before = stage_changes.c.at < self.as_of
        if of is None:
            kept = and_(
                deals.c.account == stage_changes.c.account,
                deals.c.deal_id == stage_changes.c.deal_id,
                self._existed,
                deals.c.is_deleted.is_(False),
            )
            yield from _histories(self.conn, _MOVES.join_from(stage_changes, deals, kept).where(before))
            return
        # These deals were found kept before: without the join, every planner goes by the index of deals.
        for ids in _chunks([deal.id for deal in of]):
            yield from _histories(self.conn, self._moves_of(ids).where(before))

    # How it is read -----------------------------------------------------------------------------------------

    @property
    def _existed(self) -> ColumnElement[bool]:
        """Deals of this account that were there before `as_of`, deleted ones too."""
        return and_(
            deals.c.account == self.account,
            deals.c.is_service.is_(False),
            deals.c.created_at < self.as_of,
        )

    def _load(self, *conditions: ColumnElement[bool]) -> Iterator[DealFact]:
        statement = select(
            deals.c.deal_id,
            deals.c.name,
            deals.c.pipeline_id,
            deals.c.stage_id,
            deals.c.outcome,
            deals.c.amount,
            deals.c.currency,
            deals.c.responsible_id,
            deals.c.channel,
            deals.c.loss_reason_id,
            deals.c.created_at,
            deals.c.closed_at,
        ).where(
            deals.c.account == self.account,
            deals.c.is_service.is_(False),
            deals.c.is_deleted.is_(False),
            *conditions,
        )
        rewound = self._rewound
        for row in self.conn.execute(statement):
            # Asked in SQL, this makes SQLite go by the index of creations whatever else is asked.
            if row.created_at < self.as_of:
                yield rewound.get(row.deal_id) or self._deal(row)

    def _deal(self, row: Any) -> DealFact:
        is_foreign = self.currency is not None and row.currency != self.currency
        outcome = Outcome(row.outcome)
        return DealFact(
            id=row.deal_id,
            name=row.name,
            pipeline_id=row.pipeline_id,
            stage_id=row.stage_id,
            outcome=outcome,
            amount=Decimal(0) if is_foreign or row.amount is None else row.amount,
            manager=row.responsible_id or NONE,
            channel=row.channel or NONE,
            loss_reason_id=row.loss_reason_id or None,
            created_at=row.created_at,
            closed_at=None if outcome is Outcome.OPEN else row.closed_at,
            is_foreign=is_foreign,
        )

    @cached_property
    def _rewound(self) -> dict[str, DealFact]:
        """Deals that moved at or after `as_of`, as they stood before those moves."""
        later = select(stage_changes.c.deal_id).where(
            stage_changes.c.account == self.account, stage_changes.c.at >= self.as_of
        )
        # DISTINCT in SQL would read the index that has the deals in order, which is all of them.
        moved = list(dict.fromkeys(self.conn.execute(later).scalars()))
        self.__dict__["_rewound"] = {}  # what follows loads the deals as they are now
        rewound = {}
        for ids in _chunks(moved):
            histories = dict(_histories(self.conn, self._moves_of(ids)))
            for deal in self._load(deals.c.deal_id.in_(ids)):
                rewound[deal.id] = self._rewind(deal, histories[deal.id])
        return rewound

    def _rewind(self, deal: DealFact, moves: Sequence[Move]) -> DealFact:
        before = [move for move in moves if move.at < self.as_of]
        if before:
            key, closed_at = before[-1].target, before[-1].at
        else:
            key, closed_at = moves[0].source or moves[0].target, None
        outcome = self.outcome(key) or Outcome.OPEN
        return replace(
            deal,
            pipeline_id=key[0],
            stage_id=key[1],
            outcome=outcome,
            closed_at=None if outcome is Outcome.OPEN else closed_at,
        )

    def _moves_of(self, ids: Sequence[str]) -> Select[Any]:
        return _MOVES.where(stage_changes.c.account == self.account, stage_changes.c.deal_id.in_(ids))


_MOVES = select(
    stage_changes.c.deal_id,
    stage_changes.c.at,
    stage_changes.c.event_id,
    stage_changes.c.from_pipeline_id,
    stage_changes.c.from_stage_id,
    stage_changes.c.to_pipeline_id,
    stage_changes.c.to_stage_id,
)


def _histories(conn: Connection, statement: Select[Any]) -> Iterator[tuple[str, list[Move]]]:
    rows = conn.execute(statement.order_by(stage_changes.c.deal_id, stage_changes.c.at))
    for deal_id, of_deal in groupby(rows, key=lambda row: row.deal_id):
        yield deal_id, list(_moves(of_deal))


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def _moves(rows: Iterable[Any]) -> Iterator[Move]:
    """Rows of one deal in their order; a source without a pipeline is in the one the deal was in."""
    pipeline: str | None = None
    # CRMs count events up: of two ids in one second the longer one is the later one.
    for row in sorted(rows, key=lambda r: (r.at, len(r.event_id), r.event_id)):
        source = None
        if row.from_stage_id:
            source = (row.from_pipeline_id or pipeline or row.to_pipeline_id, row.from_stage_id)
        pipeline = row.to_pipeline_id
        yield Move(row.at, source, (row.to_pipeline_id, row.to_stage_id))
