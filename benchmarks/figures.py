# ruff: noqa: E501 — statements of SQL stand on one line each
"""Figures over a generated past: import, the copy, each table, all of them, beside plain DuckDB over the files.

    python benchmarks/figures.py 10000 100000 1000000 [--database URL]

The plain calculation reads the same CSV files and asks the obvious SQL, in this process and in the same run. It
leaves out plans, working hours and moves between pipelines, so it is a little quicker than a whole one would be.
Times are wall clock seconds; memory is the most that this process has had.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import duckdb  # noqa: E402

from connector.clock import SystemClock  # noqa: E402
from connector.domain import Period  # noqa: E402
from connector.figures.base import Facts  # noqa: E402
from connector.figures.losses import loss_reasons  # noqa: E402
from connector.figures.pace import pace  # noqa: E402
from connector.figures.sales import sales  # noqa: E402
from connector.figures.snapshot import Snapshots  # noqa: E402
from connector.figures.tables import FIGURES, Question  # noqa: E402
from connector.history_import import HistoryImport  # noqa: E402
from connector.store.database import Database  # noqa: E402
from tests.figures.history_folder import COLUMNS, write_past  # noqa: E402

ACCOUNT = "history"
PERIOD = Period(date(2024, 12, 1), date(2025, 1, 1))
ZONE = "Europe/Moscow"

BORN = "created_at >= p0 AND created_at < p1"
MARKED = "(SELECT deal_id, max(sort) AS far FROM moved GROUP BY deal_id)"
PLAIN = {
    "counts": "SELECT kind, count(*), count(*) FILTER (loss_reason_id IS NULL) FROM d GROUP BY kind",
    "steps back": "SELECT count(DISTINCT deal_id) FILTER (was <> 'open'), "
    "count(DISTINCT deal_id) FILTER (was = 'open' AND kind = 'open' AND sort < was_sort) FROM moved",
    "dwell": "SELECT to_stage_id, count(*), quantile_cont(s, 0.5), quantile_cont(s, 0.9), avg(s) FROM "
    "(SELECT deal_id, to_stage_id, epoch(lead(at_) OVER (PARTITION BY deal_id ORDER BY at_, event_id)) - epoch(at_) "
    "AS s FROM t) WHERE s IS NOT NULL GROUP BY ALL",
    "dwell of the period": "SELECT to_stage_id, count(*), quantile_cont(s, 0.5) FROM "
    "(SELECT to_stage_id, lead(at_) OVER (PARTITION BY deal_id ORDER BY at_, event_id) AS u, "
    "epoch(u) - epoch(at_) AS s FROM t) WHERE u >= p0 AND u < p1 GROUP BY ALL",
    "dwell by deal": "SELECT to_stage_id, count(*), quantile_cont(s, 0.5), quantile_cont(s, 0.9) FROM (SELECT deal_id, "
    "to_stage_id, sum(s) AS s FROM (SELECT deal_id, to_stage_id, epoch(lead(at_) OVER (PARTITION BY deal_id "
    "ORDER BY at_, event_id)) - epoch(at_) AS s FROM t) WHERE s IS NOT NULL GROUP BY ALL) GROUP BY ALL",
    "funnel_cohort": f"SELECT pipeline_id, far, count(*) FROM d JOIN {MARKED} USING (deal_id) WHERE {BORN} GROUP BY ALL",
    "funnel_cohort_by_channel": f"SELECT channel_id, pipeline_id, far, count(*) FROM d JOIN {MARKED} "
    f"USING (deal_id) WHERE {BORN} GROUP BY ALL",
    "funnel_cohort_by_manager": f"SELECT manager_id, pipeline_id, far, count(*) FROM d JOIN {MARKED} "
    f"USING (deal_id) WHERE {BORN} GROUP BY ALL",
    "entered": f"SELECT to_stage_id, count(DISTINCT deal_id) FROM t JOIN d USING (deal_id) WHERE {BORN} GROUP BY ALL",
    "funnel_period": "SELECT to_stage_id, was, kind, sort > was_sort, count(*), count(DISTINCT deal_id) FROM moved "
    "WHERE at_ >= p0 AND at_ < p1 GROUP BY ALL",
    "kpi": "SELECT manager_id, at_::DATE, count(*), count(*) FILTER (answered = 1) FROM c WHERE at_ >= p0 AND at_ < p1 "
    "GROUP BY ALL",
    "kpi of meetings": "SELECT manager_id, held_at::DATE, count(*) FROM meetings WHERE status = 'held' "
    "AND held_at >= p0 AND held_at < p1 GROUP BY ALL",
    "kpi of invoices": "SELECT manager_id, issued_at::DATE, count(*), sum(amount) FROM invoices "
    "WHERE status <> 'cancelled' AND issued_at >= p0 AND issued_at < p1 GROUP BY ALL",
    "lead_quality": "SELECT lower(trim(utm_source)), channel_id, count(*), quantile_cont(epoch(f) - epoch(created_at), 0.5) "
    f"FROM d LEFT JOIN (SELECT deal_id, min(at_) AS f FROM (SELECT deal_id, at_ FROM c WHERE direction = 'out' "
    f"OR answered = 1 UNION ALL SELECT deal_id, \"at\" FROM messages WHERE direction = 'out') GROUP BY deal_id) "
    f"USING (deal_id) WHERE {BORN} GROUP BY ALL",
    "loss_reasons": "SELECT pipeline_id, manager_id, channel_id, loss_reason_id, count(*), sum(price) FROM d "
    "WHERE kind = 'lost' AND closed_at >= p0 AND closed_at < p1 GROUP BY ALL",
    "open_pipeline": "SELECT to_stage_id, count(*) FILTER (d.kind = 'won'), count(*) FILTER (d.kind = 'lost') FROM "
    "(SELECT DISTINCT deal_id, to_stage_id FROM t) JOIN d USING (deal_id) GROUP BY ALL",
    "reverse_funnel": "SELECT count(*), count(n), count(m.deal_id), count(i.deal_id) FROM d "
    "LEFT JOIN (SELECT deal_id, count(*) AS n FROM c WHERE answered = 1 GROUP BY ALL) USING (deal_id) "
    "LEFT JOIN (SELECT DISTINCT deal_id FROM meetings WHERE status = 'held') m USING (deal_id) "
    "LEFT JOIN (SELECT DISTINCT deal_id FROM invoices WHERE status <> 'cancelled') i USING (deal_id) "
    "WHERE created_at >= p0 - INTERVAL 180 DAY AND created_at < p0",
    "sales": "SELECT pipeline_id, manager_id, channel_id, count(*), sum(price), quantile_cont(epoch(closed_at) - "
    "epoch(created_at), 0.5) FROM d WHERE kind <> 'open' AND closed_at >= p0 AND closed_at < p1 "
    "GROUP BY GROUPING SETS ((), (pipeline_id), (manager_id), (channel_id))",
}


def plain(folder: Path) -> tuple[float, float]:
    """(seconds of reading the files, seconds of all questions) of DuckDB alone."""
    began = time.perf_counter()
    with duckdb.connect() as con:
        for table in COLUMNS:
            con.execute(f"CREATE TABLE {table} AS SELECT * FROM read_csv('{folder / table}.csv')")
        con.execute("CREATE MACRO p0() AS TIMESTAMP '2024-11-30 21:00:00'")
        con.execute("CREATE MACRO p1() AS TIMESTAMP '2024-12-31 21:00:00'")
        con.execute(
            "CREATE TABLE d AS SELECT deals.*, kind FROM deals JOIN stages USING (pipeline_id, stage_id) "
            "WHERE is_deleted = 0"
        )
        con.execute(
            'CREATE TABLE t AS SELECT transitions.*, "at" AS at_ FROM transitions SEMI JOIN d USING (deal_id)'
        )
        con.execute('CREATE TABLE c AS SELECT calls.*, "at" AS at_ FROM calls SEMI JOIN d USING (deal_id)')
        con.execute(
            "CREATE TABLE moved AS SELECT t.*, s.kind, s.sort, o.kind AS was, o.sort AS was_sort FROM t "
            "JOIN stages s ON s.pipeline_id = t.pipeline_id AND s.stage_id = to_stage_id "
            "LEFT JOIN stages o ON o.pipeline_id = t.pipeline_id AND o.stage_id = from_stage_id"
        )
        read = time.perf_counter() - began
        for statement in PLAIN.values():
            con.execute(statement.replace("p0", "p0()").replace("p1", "p1()")).fetchall()
    return read, time.perf_counter() - began - read


T = TypeVar("T")


def timed(what: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return what(), time.perf_counter() - began


def measure(deals: int, folder: Path, url: str) -> None:
    _, made = timed(lambda: write_past(folder / "past", deals, 5, messages=1))
    db = Database(url)
    db.upgrade()
    quiet = HistoryImport(db, SystemClock())
    _, loaded = timed(lambda: quiet.run(folder / "past", ACCOUNT, lambda *_: None))
    snapshots = Snapshots(folder / "figures")
    print(f"\n{deals} deals: files {made:.1f} s, import {loaded:.1f} s", flush=True)
    report(db, snapshots, folder / "past")
    db.close()


def report(db: Database, snapshots: Snapshots, past: Path, account: str = ACCOUNT) -> None:
    """The copy, each table, all of them, a daily report, and plain DuckDB."""
    zone = ZoneInfo(ZONE)
    with db.read() as conn:
        with snapshots.lazily(conn, account) as copy:
            _, anew = timed(copy.get)
        with snapshots.lazily(conn, account) as copy:
            _, opened = timed(copy.get)
        print(f"copy made anew {anew:.2f} s, opened again {opened:.3f} s")
        as_of = datetime(2025, 1, 9, tzinfo=zone)
        question = Question(PERIOD, goal=Decimal(5_000_000))
        whole = opened
        with snapshots.lazily(conn, account) as copy:
            facts = Facts(conn, account, zone, as_of, copy)
            for name, table in FIGURES.items():
                rows, spent = timed(lambda table=table: table.compute(facts, question))  # type: ignore[misc]
                whole += spent
                print(f"  {name:<26}{len(rows):>7} rows  {spent:.3f} s")
        print(f"all tables of the period {whole:.2f} s")
        day = Period(date(2025, 1, 8), date(2025, 1, 9))
        daily = []
        for _ in range(5):
            with snapshots.lazily(conn, account) as copy:
                facts = Facts(conn, account, zone, as_of, copy)
                daily.append(
                    timed(lambda facts=facts: (sales(facts, day), loss_reasons(facts, day), pace(facts, ())))[
                        1
                    ]  # type: ignore[misc]
                )
        print(f"figures of one day, from opening the copy: {sorted(daily)[2]:.3f} s")
    read, asked = plain(past)
    print(
        f"plain DuckDB: files {read:.2f} s, questions {asked:.2f} s; ours / plain {whole / (read + asked):.2f}"
    )
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("deals", type=int, nargs="+")
    options.add_argument("--database", help="a store to fill instead of SQLite in a temporary folder")
    given = options.parse_args()
    for deals in given.deals:
        with tempfile.TemporaryDirectory(prefix="figures-") as folder:
            measure(deals, Path(folder), given.database or f"sqlite:///{folder}/store.db")


if __name__ == "__main__":
    main()
