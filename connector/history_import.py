"""A history folder straight into the store, as an account of its own: to try out, measure and compare.

An account that a CRM fills takes no files: two sources of one deal would never agree. Loading again replaces
what was loaded; a load that was broken off is marked so, and its figures are refused until it is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from connector import history_files as files
from connector.clock import Clock
from connector.errors import ConfigError, Problem
from connector.history_files import HistoryAccount
from connector.store import bulk, change_log, cursors
from connector.store import facts as stored
from connector.store.database import Database

#: Under this name an imported account keeps what it was loaded from: {state, as_of, goal}.
HISTORY = "history"

#: The CRM's name of an account that has none.
FILES = "files"

#: Tables without which there is nothing to count.
REQUIRED = ("managers", "stages", "deals", "transitions")

#: Hears (table, rows loaded, share of all rows).
Progress = Callable[[str, int, float], None]

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """How an imported account stands."""

    as_of: datetime
    goal: Decimal | None


@dataclass(frozen=True, slots=True)
class _Table:
    """One file: its columns (see `history_files.columns`), the store's table and columns, the row there."""

    name: str
    columns: str
    target: str
    into: str
    row: Callable[[Row], Row]


class HistoryImport:
    """See the module."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def run(self, folder: Path, account: str, progress: Progress) -> dict[str, int]:
        """Load the folder; table -> rows. Raises ConfigError with every bad cell; nothing is kept then."""
        told = files.read_account(folder)
        missing = [
            Problem(str(folder / f"{name}.csv"), "нет такого файла")
            for name in REQUIRED
            if not files.has_table(folder, name)
        ]
        if missing:
            raise ConfigError(missing)
        self._begin(account, told)
        tables = _tables(told, _kinds(folder))
        rows = {table.name: files.count_rows(folder, table.name) for table in tables}
        total, done, counts = max(sum(rows.values()), 1), 0, {}
        problems: list[Problem] = []
        for table in tables:
            counts[table.name] = 0
            for chunk in files.read_table(folder, table.name, files.columns(table.columns), problems):
                if problems:
                    continue
                with self._db.begin() as conn, change_log.silenced(conn):
                    columns = ["account", *table.into.split()]
                    bulk.insert(conn, table.target, columns, _rows(account, table, chunk))
                counts[table.name] += len(chunk)
                progress(table.name, counts[table.name], min((done + counts[table.name]) / total, 1.0))
            done += rows[table.name]
        if problems:
            with self._db.begin() as conn, change_log.silenced(conn):
                bulk.clear(conn, account)
                change_log.note_everything(conn, account, self._clock.now())
            raise ConfigError(problems[: files.MAX_PROBLEMS])
        with self._db.begin() as conn:
            bulk.analyze(conn)
            change_log.note_everything(conn, account, self._clock.now())
            self._mark(conn, account, told, "done")
        return counts

    def loaded(self, account: str) -> Loaded | None:
        """What the account was loaded from; None for one that no files fill.

        Raises ConfigError when its load was broken off.
        """
        with self._db.read() as conn:
            kept = cursors.find(conn, account, HISTORY)
        if kept is None:
            return None
        if kept["state"] != "done":
            problem = f"загрузка истории в аккаунт «{account}» прервалась: повторите connector import-history"
            raise ConfigError([Problem("import-history", problem)])
        goal = kept["goal"]
        return Loaded(datetime.fromisoformat(kept["as_of"]), None if goal is None else Decimal(goal))

    def _begin(self, account: str, told: HistoryAccount) -> None:
        with self._db.begin() as conn, change_log.silenced(conn):
            row = stored.account_row(conn, account)
            if row is not None and row.crm != FILES:
                problem = (
                    f"аккаунт «{account}» заполняет CRM: для файлов нужен свой, например --account history"
                )
                raise ConfigError([Problem("--account", problem)])
            stored.ensure_account(conn, account, FILES, self._clock.now())
            bulk.clear(conn, account)
            stored.save_history_account(conn, account, told.timezone, told.currency)
            self._mark(conn, account, told, "loading")

    def _mark(self, conn: Any, account: str, told: HistoryAccount, state: str) -> None:
        goal = None if told.goal is None else str(told.goal)
        value = {"state": state, "as_of": told.as_of.isoformat(), "goal": goal}
        cursors.save(conn, account, HISTORY, value, self._clock.now())


def _rows(account: str, table: _Table, chunk: Sequence[Row]) -> Iterator[Row]:
    for row in chunk:
        yield (account, *table.row(row))


def _kinds(folder: Path) -> Mapping[tuple[str, str], str]:
    """(pipeline, stage) -> open, won or lost; mistakes are told when the table itself is loaded."""
    chunks = files.read_table(folder, "stages", files.columns("pipeline_id:id! stage_id:id! kind:kind"), [])
    return {(pipeline, stage): kind for chunk in chunks for pipeline, stage, kind in chunk}


def _tables(told: HistoryAccount, kinds: Mapping[tuple[str, str], str]) -> tuple[_Table, ...]:
    """All files of the format in the order of loading."""

    def deal(row: Row) -> Row:
        *head, pipeline, stage, closed_at, created_at, is_deleted, deleted_at = row
        updated_at = max(moment for moment in (created_at, closed_at, deleted_at) if moment)
        outcome = kinds.get((pipeline, stage), "open")
        moments = (created_at, updated_at, closed_at)
        return (*head, pipeline, stage, outcome, told.currency, *moments, is_deleted, False, told.as_of)

    return (
        _Table(
            "managers",
            "manager_id:id! name:text team:text tz:text hired_on:day fired_on:day",
            "users",
            "user_id name team timezone hired_on fired_on email is_active is_admin",
            lambda row: (*row, "", row[5] is None, False),
        ),
        _Table("channels", "channel_id:id! name:text", "channels", "channel_id name", tuple),
        _Table(
            "stages",
            "pipeline_id:id! stage_id:id! name:text sort:whole! kind:kind is_qualified:flag is_key:flag",
            "stages",
            "pipeline_id stage_id name sort outcome is_qualified is_key pipeline_name",
            lambda row: (*row, told.pipelines.get(row[0], f"Воронка {row[0]}")),
        ),
        _Table("loss_reasons", "loss_reason_id:id! name:text", "loss_reasons", "loss_reason_id name", tuple),
        _Table("holidays", "date:day!", "special_days", "day is_working", lambda row: (*row, False)),
        _Table(
            "plans",
            "manager_id:id month:month! metric:id! plan:amount",
            "month_plans",
            "manager_id month metric value set_at source",
            lambda row: (row[0] or "", *row[1:], told.as_of, "import"),
        ),
        _Table(
            "deals",
            "deal_id:id! name:text manager_id:id channel_id:id utm_source:text utm_medium:text "
            "utm_campaign:text price:amount loss_reason_id:id pipeline_id:id! stage_id:id! closed_at:moment "
            "created_at:moment! is_deleted:flag deleted_at:moment",
            "deals",
            "deal_id name responsible_id channel utm_source utm_medium utm_campaign amount loss_reason_id "
            "pipeline_id stage_id outcome currency created_at updated_at closed_at is_deleted is_service "
            "read_at",
            deal,
        ),
        _Table(
            "transitions",
            "event_id:id! deal_id:id! pipeline_id:id! at:moment! from_stage_id:id "
            "to_stage_id:id! changed_by:id",
            "stage_changes",
            "event_id deal_id to_pipeline_id at from_stage_id to_stage_id changed_by",
            tuple,
        ),
        _Table(
            "calls",
            "call_id:id! deal_id:id manager_id:id at:moment! direction:direction answered:flag "
            "duration_s:whole",
            "calls",
            "call_id deal_id manager_id at direction answered duration_s is_deleted",
            lambda row: (*row[:6], row[6] or 0, False),
        ),
        _Table(
            "messages",
            "message_id:id! deal_id:id manager_id:id at:moment! direction:direction",
            "messages",
            "message_id deal_id manager_id at direction is_deleted",
            lambda row: (*row, False),
        ),
        _Table(
            "meetings",
            "meeting_id:id! deal_id:id manager_id:id created_at:moment! planned_at:moment held_at:moment "
            "status:meeting",
            "meetings",
            "meeting_id deal_id manager_id created_at planned_at held_at status is_deleted",
            lambda row: (*row, False),
        ),
        _Table(
            "tasks",
            "task_id:id! deal_id:id manager_id:id created_at:moment! due_at:moment completed_at:moment",
            "tasks",
            "task_id deal_id manager_id created_at due_at completed_at is_deleted",
            lambda row: (*row, False),
        ),
        _Table(
            "invoices",
            "invoice_id:id! deal_id:id manager_id:id issued_at:moment! amount:amount status:invoice "
            "paid_at:moment",
            "invoices",
            "invoice_id deal_id manager_id issued_at amount status paid_at currency is_deleted",
            lambda row: (*row, told.currency, False),
        ),
    )
