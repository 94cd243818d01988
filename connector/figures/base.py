"""What every figure reads: deals and their moves as they stood at `as_of`, in the account's own days.

Pure of the wall clock and of any CRM. A report that runs late shows what it would have shown on time: a deal
that moved at or after `as_of` is shown at the stage it was in before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from connector.domain import Outcome, Period, Stage
from connector.figures.snapshot import LazySnapshot, Snapshot
from connector.figures.stats import natural
from connector.store.schema import (
    accounts,
    channels,
    loss_reasons,
    missed_hooks,
    special_days,
    stages,
    users,
)

if TYPE_CHECKING:
    import duckdb


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

    #: Figures are SQL over these, as DuckDB has them; moments are TIMESTAMP in UTC, money whole hundredths:
    #: d (deals that are kept, as they stood), m (their moves, `n` their order, `next_ts` when the stage was
    #: left), st (stages, `pos` the place in the ladder), calls_, meetings_, messages_, tasks_, invoices_
    #: (of kept deals and of none; which of their moments count is the reader's to ask).

    def __init__(
        self,
        conn: Connection,
        account: str,
        timezone: ZoneInfo,
        as_of: datetime,
        snapshot: LazySnapshot | None = None,
    ) -> None:
        if as_of.tzinfo is None:
            raise ValueError(f"naive as_of: {as_of!r}")
        self.conn = conn
        self.account = account
        self.timezone = timezone
        self.as_of = as_of.astimezone(UTC)
        self._snapshot = snapshot or LazySnapshot(lambda: Snapshot.in_memory(conn, account))

    def as_at(self, as_of: datetime) -> Facts:
        """The same facts up to another moment."""
        return Facts(self.conn, self.account, self.timezone, as_of, self._snapshot)

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

    def all_deals(self) -> list[DealFact]:
        """Every kept deal."""
        return self._deals("true")

    def created_in(self, period: Period) -> list[DealFact]:
        """Kept deals created in the period."""
        return self._deals("created_at >= $start AND created_at < $stop", period)

    def closed_in(self, period: Period) -> list[DealFact]:
        """Kept deals that are won or lost and whose last closing lies in the period."""
        return self._deals("outcome <> 'open' AND closed_at >= $start AND closed_at < $stop", period)

    def open_deals(self) -> list[DealFact]:
        """Kept deals that are open."""
        return self._deals("outcome = 'open'")

    @cached_property
    def first_created_at(self) -> datetime | None:
        """When the first kept deal was created; None without deals."""
        [(first,)] = self.ask("SELECT min(created_at) FROM d")
        return aware(first)

    def alive_since(self, moment: datetime) -> list[DealFact]:
        """Kept deals that are open, or whose last closing is not before `moment`."""
        return self._deals("closed_at IS NULL OR closed_at >= $moment", moment=naive(moment))

    def histories(self, of: Iterable[DealFact]) -> Iterator[tuple[str, list[Move]]]:
        """(deal_id, its moves before `as_of` in their order) of the given deals that have any."""
        self.keep("wanted", {"deal_id": "VARCHAR"}, [(deal.id,) for deal in of])
        rows = self.ask(
            "SELECT deal_id, ts, from_pipeline, from_stage, to_pipeline, to_stage "
            "FROM m SEMI JOIN wanted USING (deal_id) ORDER BY deal_id, n"
        )
        for deal_id, moves in groupby(rows, key=lambda row: row[0]):
            yield deal_id, [_move(row) for row in moves]

    # Questions ----------------------------------------------------------------------------------------------

    def ask(self, statement: str, period: Period | None = None, **given: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement over the relations above.

        A period gives it `$start` and `$stop`; `$as_of` is there for every statement that names it.
        """
        if period is not None:
            start, stop = self.bounds(period)
            given = {**given, "start": naive(start), "stop": naive(stop)}
        if "$as_of" in statement:
            given["as_of"] = naive(self.as_of)
        return self._duck.execute(statement, given).fetchall()

    def keep(self, name: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
        """Have rows of our own beside the relations, under that name; `columns` are names and types."""
        heads = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        self._duck.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({heads})")
        if rows:
            values = ", ".join(f"unnest($c{place}::{kind}[])" for place, kind in enumerate(columns.values()))
            given = {f"c{place}": list(column) for place, column in enumerate(zip(*rows, strict=True))}
            self._duck.execute(f"INSERT INTO {name} SELECT {values}", given)

    def _deals(self, condition: str, period: Period | None = None, **given: Any) -> list[DealFact]:
        statement = f"SELECT {_DEAL} FROM d WHERE {condition} ORDER BY created_at, deal_id"
        rows = self.ask(statement, period, **given)
        return [_deal(row) for row in rows]

    @cached_property
    def _duck(self) -> duckdb.DuckDBPyConnection:
        """The copy of the facts, seen from `as_of`."""
        duck = self._snapshot.get().con.cursor()
        self.__dict__["_duck"] = duck  # what follows asks it
        self._keep_stages()
        at = f"TIMESTAMP '{naive(self.as_of)}'"
        currency = "NULL" if self.currency is None else f"'{self.currency.replace(chr(39), '')}'"
        duck.execute(_MOVED.format(as_of=at))
        duck.execute(_REWOUND.format(as_of=at))
        duck.execute(_D.format(as_of=at, foreign=f"coalesce(currency <> {currency}, false)"))
        duck.execute(_M.format(as_of=at))
        for name in ("calls", "meetings", "messages", "tasks"):
            duck.execute(_ACTIVITY.format(name=name, more=""))
        duck.execute(
            _ACTIVITY.format(name="invoices", more=f", coalesce(currency <> {currency}, false) AS is_foreign")
        )
        return duck

    def _keep_stages(self) -> None:
        places = {
            (stage.pipeline_id, stage.id): place
            for ladder in self.ladders.values()
            for place, stage in enumerate(ladder)
        }
        last = {pipeline: len(ladder) - 1 for pipeline, ladder in self.ladders.items()}
        columns = {
            "pipeline_id": "VARCHAR",
            "stage_id": "VARCHAR",
            "sort": "INT",
            "outcome": "VARCHAR",
            "pos": "INT",
            "last": "INT",
            "is_qualified": "BOOLEAN",
            "is_key": "BOOLEAN",
        }
        rows = [
            (*key, stage.sort, stage.outcome.value, places.get(key), last.get(key[0]), *self.marks[key])
            for key, stage in self.stages.items()
        ]
        self.keep("st", columns, rows)


def naive(moment: datetime) -> datetime:
    """An aware moment as DuckDB keeps it: UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def aware(moment: datetime | None) -> datetime | None:
    """A moment of DuckDB as the rest of us has it."""
    return None if moment is None else moment.replace(tzinfo=UTC)


def money(hundredths: int | None) -> Decimal:
    """Whole hundredths as an amount; nothing is 0."""
    return Decimal(int(hundredths or 0)) / 100


_DEAL = (
    "deal_id, name, pipeline_id, stage_id, outcome, amount, manager, channel, loss_reason_id, created_at, "
    "closed_at, is_foreign"
)


def _deal(row: tuple[Any, ...]) -> DealFact:
    return DealFact(
        id=row[0],
        name=row[1] or "",
        pipeline_id=row[2],
        stage_id=row[3],
        outcome=Outcome(row[4]),
        amount=money(row[5]),
        manager=row[6],
        channel=row[7],
        loss_reason_id=row[8],
        created_at=row[9].replace(tzinfo=UTC),
        closed_at=aware(row[10]),
        is_foreign=row[11],
    )


def _move(row: tuple[Any, ...]) -> Move:
    _, at, from_pipeline, from_stage, to_pipeline, to_stage = row
    source = (from_pipeline, from_stage) if from_stage else None
    return Move(at.replace(tzinfo=UTC), source, (to_pipeline, to_stage))


_MOVED = "CREATE OR REPLACE TEMP TABLE moved AS SELECT DISTINCT deal_id FROM f.moves WHERE ts >= {as_of}"

#: Deals that moved at or after `as_of`, as they stood before those moves.
_REWOUND = """
CREATE OR REPLACE TEMP TABLE rewound AS
SELECT x.deal_id, x.pipeline_id, x.stage_id, coalesce(st.outcome, 'open') AS outcome,
       CASE WHEN st.outcome <> 'open' THEN x.closed_at END AS closed_at
FROM (
    SELECT deal_id,
           coalesce(
               arg_max(to_pipeline, n) FILTER (ts < {as_of}),
               arg_min(CASE WHEN from_stage IS NULL THEN to_pipeline ELSE from_pipeline END, n)
           ) AS pipeline_id,
           coalesce(arg_max(to_stage, n) FILTER (ts < {as_of}), arg_min(coalesce(from_stage, to_stage), n))
               AS stage_id,
           max(ts) FILTER (ts < {as_of}) AS closed_at
    FROM f.moves SEMI JOIN moved USING (deal_id)
    GROUP BY deal_id
) x LEFT JOIN st ON st.pipeline_id = x.pipeline_id AND st.stage_id = x.stage_id
"""

_D = """
CREATE OR REPLACE TEMP VIEW d AS
SELECT deal_id, name, pipeline_id, stage_id, outcome, CASE WHEN {foreign} THEN 0 ELSE amount END AS amount,
       manager, channel, source, loss_reason_id, created_at,
       CASE WHEN outcome <> 'open' THEN closed_at END AS closed_at, {foreign} AS is_foreign
FROM f.deals ANTI JOIN moved USING (deal_id)
WHERE NOT is_deleted AND NOT is_service AND created_at < {as_of}
UNION ALL
SELECT w.deal_id, o.name, w.pipeline_id, w.stage_id, w.outcome,
       CASE WHEN {foreign} THEN 0 ELSE o.amount END, o.manager, o.channel, o.source, o.loss_reason_id,
       o.created_at, w.closed_at, {foreign}
FROM rewound w JOIN f.deals o USING (deal_id)
WHERE NOT o.is_deleted AND NOT o.is_service AND o.created_at < {as_of}
"""

_M = """
CREATE OR REPLACE TEMP VIEW m AS
SELECT deal_id, n, ts, CASE WHEN next_ts < {as_of} THEN next_ts END AS next_ts,
       from_pipeline, from_stage, to_pipeline, to_stage
FROM f.moves SEMI JOIN (
    SELECT deal_id FROM f.deals WHERE NOT is_deleted AND NOT is_service AND created_at < {as_of}
) USING (deal_id)
WHERE ts < {as_of}
"""

_ACTIVITY = """
CREATE OR REPLACE TEMP VIEW {name}_ AS
SELECT *{more}
FROM f.{name} ANTI JOIN (SELECT deal_id FROM f.deals WHERE is_deleted OR is_service) USING (deal_id)
WHERE NOT is_deleted
"""
