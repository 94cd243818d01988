"""A columnar copy of one account's facts in DuckDB, brought up to date with what changed since the last time.

The store answers questions about one deal quickly and sums over a million slowly; the copy is the other way
round. It is only a copy: without it, or when it is of another make, it is made anew. One process at a time
has the copy of an account; others wait. What the columns mean to figures is told in `base`.
"""

from __future__ import annotations

import fcntl
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import Connection, Select, Table, select

from connector.errors import ConfigError, Problem
from connector.store import bulk, change_log
from connector.store.schema import calls, deals, invoices, meetings, messages, stage_changes, tasks

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

#: Copies of another make are not read.
VERSION = 1

#: With more changes than this, reading everything is quicker.
MAX_CHANGES = 100_000

#: The list of changes goes back further than this.
MAX_AGE = timedelta(days=6)

_CHUNK = 1000

_BLANKS = "' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(160)"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One table of the copy: where from, by which column changes are told, and how its columns are made.

    `read` are the store's columns with their types, `made` the copy's own as SQL over them.
    """

    name: str
    source: Table
    key: str
    read: tuple[tuple[str, str], ...]
    made: str
    order: str

    def statement(self, conn: Connection, account: str, keys: Sequence[str] | None = None) -> Select[Any]:
        """The rows of the store, all or those of the keys."""
        columns = [bulk.plain(conn, self.source.c[name]) for name, _ in self.read]
        found = select(*columns).where(self.source.c.account == account)
        return found if keys is None else found.where(self.source.c[self.key].in_(keys))


@dataclass(frozen=True, slots=True)
class _Meta:
    """What a copy says of itself: its make, the store it is of, and how far it is in step."""

    version: int
    store: str
    mark: int
    synced_at: datetime


def _none(column: str) -> str:
    return f"coalesce(nullif({column}, ''), '(none)')"


_KINDS = (
    _Kind(
        "deals",
        deals,
        "deal_id",
        (
            *(
                ("deal_id", "VARCHAR"),
                ("name", "VARCHAR"),
                ("pipeline_id", "VARCHAR"),
                ("stage_id", "VARCHAR"),
            ),
            *(("outcome", "VARCHAR"), ("amount", "BIGINT"), ("currency", "VARCHAR")),
            *(("responsible_id", "VARCHAR"), ("channel", "VARCHAR"), ("utm_source", "VARCHAR")),
            *(("loss_reason_id", "VARCHAR"), ("created_at", "TIMESTAMP"), ("closed_at", "TIMESTAMP")),
            *(("is_deleted", "BOOLEAN"), ("is_service", "BOOLEAN")),
        ),
        "deal_id, name, pipeline_id, stage_id, outcome, coalesce(amount, 0) AS amount, currency, "
        f"{_none('responsible_id')} AS manager, {_none('channel')} AS channel, "
        f"coalesce(nullif(lower(trim(utm_source, {_BLANKS})), ''), '(none)') AS source, "
        "nullif(loss_reason_id, '') AS loss_reason_id, created_at, closed_at, is_deleted, is_service",
        "created_at",
    ),
    _Kind(
        "moves",
        stage_changes,
        "deal_id",
        (
            *(("event_id", "VARCHAR"), ("deal_id", "VARCHAR"), ("at", "TIMESTAMP")),
            *(("from_pipeline_id", "VARCHAR"), ("from_stage_id", "VARCHAR")),
            *(("to_pipeline_id", "VARCHAR"), ("to_stage_id", "VARCHAR")),
        ),
        # CRMs count events up: of two ids in one second the longer one is the later one. A source without a
        # pipeline is in the one that the deal was in.
        'deal_id, row_number() OVER moved AS n, "at" AS ts, lead("at") OVER moved AS next_ts, '
        "CASE WHEN from_stage_id <> '' THEN coalesce(nullif(from_pipeline_id, ''), "
        "lag(to_pipeline_id) OVER moved, to_pipeline_id) END AS from_pipeline, "
        "nullif(from_stage_id, '') AS from_stage, to_pipeline_id AS to_pipeline, to_stage_id AS to_stage",
        "ts",
    ),
    _Kind(
        "calls",
        calls,
        "call_id",
        (
            *(("call_id", "VARCHAR"), ("deal_id", "VARCHAR"), ("manager_id", "VARCHAR"), ("at", "TIMESTAMP")),
            *(("direction", "VARCHAR"), ("answered", "BOOLEAN"), ("is_deleted", "BOOLEAN")),
        ),
        f"call_id AS key, deal_id, {_none('manager_id')} AS manager, "
        """"at" AS ts, direction = 'out' AS is_out, answered, is_deleted""",
        "ts",
    ),
    _Kind(
        "meetings",
        meetings,
        "meeting_id",
        (
            *(("meeting_id", "VARCHAR"), ("deal_id", "VARCHAR"), ("manager_id", "VARCHAR")),
            *(("created_at", "TIMESTAMP"), ("planned_at", "TIMESTAMP"), ("held_at", "TIMESTAMP")),
            *(("status", "VARCHAR"), ("is_deleted", "BOOLEAN")),
        ),
        f"meeting_id AS key, deal_id, {_none('manager_id')} AS manager, "
        "created_at, planned_at, held_at, status, is_deleted",
        "created_at",
    ),
    _Kind(
        "messages",
        messages,
        "message_id",
        (
            *(("message_id", "VARCHAR"), ("deal_id", "VARCHAR"), ("manager_id", "VARCHAR")),
            *(("at", "TIMESTAMP"), ("direction", "VARCHAR"), ("is_deleted", "BOOLEAN")),
        ),
        f"message_id AS key, deal_id, {_none('manager_id')} AS manager, "
        """"at" AS ts, direction = 'out' AS is_out, is_deleted""",
        "ts",
    ),
    _Kind(
        "tasks",
        tasks,
        "task_id",
        (
            *(("task_id", "VARCHAR"), ("deal_id", "VARCHAR"), ("manager_id", "VARCHAR")),
            *(("created_at", "TIMESTAMP"), ("due_at", "TIMESTAMP"), ("completed_at", "TIMESTAMP")),
            ("is_deleted", "BOOLEAN"),
        ),
        f"task_id AS key, deal_id, {_none('manager_id')} AS manager, "
        "created_at, due_at, completed_at, is_deleted",
        "created_at",
    ),
    _Kind(
        "invoices",
        invoices,
        "invoice_id",
        (
            *(("invoice_id", "VARCHAR"), ("deal_id", "VARCHAR"), ("manager_id", "VARCHAR")),
            *(("issued_at", "TIMESTAMP"), ("amount", "BIGINT"), ("currency", "VARCHAR")),
            *(("status", "VARCHAR"), ("paid_at", "TIMESTAMP"), ("is_deleted", "BOOLEAN")),
        ),
        f"invoice_id AS key, deal_id, {_none('manager_id')} AS manager, "
        "issued_at, coalesce(amount, 0) AS amount, currency, status, paid_at, is_deleted",
        "issued_at",
    ),
)

#: Table of the store -> table of the copy.
_BY_SOURCE = {kind.source.name: kind for kind in _KINDS}

_WINDOW = 'WINDOW moved AS (PARTITION BY deal_id ORDER BY "at", length(event_id), event_id)'


class Snapshot:
    """The copy as the schema `f` of a DuckDB connection."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con

    @classmethod
    def in_memory(cls, conn: Connection, account: str) -> Snapshot:
        """A copy for this once."""
        snapshot = cls(_connect(Path(tempfile.gettempdir())))
        snapshot.con.execute("ATTACH ':memory:' AS f")
        snapshot._make(conn, account)
        return snapshot

    def sync(self, conn: Connection, account: str) -> int | None:
        """Take over what changed; the number of changes, None when everything was read anew."""
        known = self._known()
        now = datetime.now(UTC)
        mark = change_log.mark(conn)
        is_ours = (
            known is not None
            and (known.version, known.store) == (VERSION, change_log.identity(conn))
            # A store that was put back from a backup has not come so far yet.
            and known.mark <= mark
            and now - known.synced_at < MAX_AGE
        )
        changes = change_log.since(conn, account, known.mark, MAX_CHANGES) if known and is_ours else None
        if known is None or changes is None:
            self._make(conn, account)
            return None
        if changes or mark != known.mark:
            self.con.execute("BEGIN")
            for name, kind in _BY_SOURCE.items():
                keys = sorted(change.key for change in changes if change.kind == name)
                if keys:
                    self._replace(conn, account, kind, keys)
            self._note(conn, mark, now)
            self.con.execute("COMMIT")
        return len(changes)

    def _known(self) -> _Meta | None:
        """What is known of the copy that is there; None when there is none."""
        import duckdb

        try:
            row = self.con.execute("SELECT version, store, mark, synced_at FROM f.meta").fetchone()
        except (duckdb.CatalogException, duckdb.BinderException):
            return None
        if row is None:
            return None
        version, store, mark, synced_at = row
        return _Meta(version, store, mark, synced_at.replace(tzinfo=UTC))

    def _make(self, conn: Connection, account: str) -> None:
        mark = change_log.mark(conn)
        self.con.execute("BEGIN")
        for kind in _KINDS:
            with self._dumped(conn, kind, [kind.statement(conn, account)]) as source:
                self.con.execute(
                    f"CREATE OR REPLACE TABLE f.{kind.name} AS "
                    f"SELECT * FROM ({_made(kind, source)}) ORDER BY {kind.order}"
                )
        columns = "version INT, store VARCHAR, mark BIGINT, synced_at TIMESTAMP"
        self.con.execute(f"CREATE OR REPLACE TABLE f.meta ({columns})")
        self._note(conn, mark, datetime.now(UTC))
        self.con.execute("COMMIT")

    def _replace(self, conn: Connection, account: str, kind: _Kind, keys: Sequence[str]) -> None:
        statements = [
            kind.statement(conn, account, keys[start : start + _CHUNK])
            for start in range(0, len(keys), _CHUNK)
        ]
        own = "deal_id" if kind.key == "deal_id" else "key"
        gone = f"DELETE FROM f.{kind.name} WHERE {own} IN (SELECT unnest($keys::VARCHAR[]))"
        self.con.execute(gone, {"keys": list(keys)})
        with self._dumped(conn, kind, statements) as source:
            self.con.execute(f"INSERT INTO f.{kind.name} {_made(kind, source)}")

    def _note(self, conn: Connection, mark: int, now: datetime) -> None:
        self.con.execute("DELETE FROM f.meta")
        row = [VERSION, change_log.identity(conn), mark, now.replace(tzinfo=None)]
        self.con.execute("INSERT INTO f.meta VALUES (?, ?, ?, ?)", row)

    @contextmanager
    def _dumped(self, conn: Connection, kind: _Kind, statements: Sequence[Select[Any]]) -> Iterator[str]:
        """What the statements find, as something to select from."""
        with tempfile.TemporaryDirectory(prefix="figures-") as folder:
            for number, statement in enumerate(statements):
                bulk.dump(conn, statement, Path(folder) / f"{number}.csv")
            columns = ", ".join(f"'{name}': '{type_}'" for name, type_ in kind.read)
            pattern = str(Path(folder) / "*.csv").replace("'", "''")
            yield (
                f"read_csv('{pattern}', header = false, auto_detect = false, delim = ',', quote = '\"', "
                f"escape = '\"', nullstr = '', columns = {{{columns}}})"
            )


def _made(kind: _Kind, source: str) -> str:
    return f"SELECT {kind.made} FROM {source}" + (f" {_WINDOW}" if kind.name == "moves" else "")


class Snapshots:
    """The copies of all accounts as files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def lazily(self, conn: Connection, account: str) -> Iterator[LazySnapshot]:
        """The account's copy: opened and brought up to date when first asked for, given back at the end."""
        with ExitStack() as stack:
            yield LazySnapshot(lambda: stack.enter_context(self.opened(conn, account)))

    @contextmanager
    def opened(self, conn: Connection, account: str) -> Iterator[Snapshot]:
        """The account's copy, in step with what `conn` sees. Raises ConfigError for a closed folder."""
        import duckdb

        name = quote(account, safe="")
        path = self._folder / f"{name}.duckdb"
        with ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = stack.enter_context((self._folder / f"{name}.lock").open("w"))
            except OSError as error:
                problem = f"в папку {self._folder} нельзя писать: {error.strerror}"
                raise ConfigError([Problem("FIGURES_DIR", problem)]) from error
            fcntl.flock(lock, fcntl.LOCK_EX)
            snapshot = Snapshot(_connect(self._folder))
            stack.callback(lambda: snapshot.con.close())
            try:
                _attach(snapshot.con, path)
                snapshot.sync(conn, account)
            except duckdb.Error as error:
                log.warning("copy of the facts is made anew: %s", error, extra={"action": "figures_anew"})
                snapshot.con.close()
                for broken in (path, path.with_name(path.name + ".wal")):
                    broken.unlink(missing_ok=True)
                snapshot.con = _connect(self._folder)
                _attach(snapshot.con, path)
                snapshot.sync(conn, account)
            yield snapshot


class LazySnapshot:
    """A copy that is made when first asked for."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._made: Snapshot | None = None

    def get(self) -> Snapshot:
        if self._made is None:
            self._made = self._make()
        return self._made


def _connect(spill: Path) -> duckdb.DuckDBPyConnection:
    import duckdb  # here and above: commands that show no figures do not load it

    con = duckdb.connect()
    con.execute(f"SET temp_directory = '{str(spill).replace(chr(39), chr(39) * 2)}'")
    con.execute("SET TimeZone = 'UTC'")
    # Neither code nor anything else is fetched from anywhere.
    con.execute("SET autoinstall_known_extensions = false")
    return con


def _attach(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    con.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS f")
    with suppress(OSError):
        path.chmod(0o600)
