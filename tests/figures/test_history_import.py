"""A folder of history files in the store: every figure table equals the plain calculation over the files."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from connector.clock import FixedClock
from connector.domain import Period
from connector.errors import ConfigError
from connector.figures.base import Facts
from connector.figures.plan import Plan
from connector.figures.snapshot import Snapshots
from connector.figures.stats import NONE
from connector.figures.tables import FIGURES, Question
from connector.history_import import HistoryImport
from connector.store import plans
from connector.store.database import Database
from connector.store.facts import account_row
from tests.conftest import NOON
from tests.figures.history_folder import COLUMNS, write_past
from tests.figures.past import ACTIVITIES
from tests.figures.reference_activities import ActivityReference
from tests.figures.test_against_reference import as_mapping, assert_equal

ACCOUNT = "history"


def silent(_table: str, _rows: int, _share: float) -> None:
    """Nobody watches."""


def rows_of(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def reference(folder: Path) -> ActivityReference:
    account = json.loads((folder / "account.json").read_text())
    stages = rows_of(folder, "stages")
    return ActivityReference(
        rows_of(folder, "deals"),
        rows_of(folder, "transitions"),
        [(s["pipeline_id"], s["stage_id"], s["name"], int(s["sort"]), s["kind"]) for s in stages],
        account["tz"],
        account["as_of_utc"],
        activities={name: rows_of(folder, name) for name in ACTIVITIES},
        qualified={(s["pipeline_id"], s["stage_id"]) for s in stages if s["is_qualified"] == "1"},
        key={(s["pipeline_id"], s["stage_id"]) for s in stages if s["is_key"] == "1"},
    )


def load(db: Database, folder: Path) -> dict[str, int]:
    return HistoryImport(db, FixedClock(NOON)).run(folder, ACCOUNT, silent)


@pytest.mark.parametrize(
    ("seed", "zone", "first_day", "as_of", "period"),
    [
        # A year's end whose week belongs to both years; a leap day; both changes of the clock.
        (1, "Europe/Moscow", date(2024, 10, 1), date(2025, 1, 9), (date(2024, 12, 1), date(2025, 1, 1))),
        (2, "America/New_York", date(2024, 1, 20), date(2024, 3, 12), (date(2024, 2, 27), date(2024, 3, 12))),
        (3, "Europe/Berlin", date(2024, 9, 1), date(2024, 11, 1), (date(2024, 10, 20), date(2024, 11, 1))),
    ],
)
def test_every_table_of_imported_files_equals_the_plain_calculation(
    db: Database,
    tmp_path: Path,
    seed: int,
    zone: str,
    first_day: date,
    as_of: date,
    period: tuple[date, date],
) -> None:
    folder = tmp_path / "past"
    span = {"zone": zone, "first_day": first_day, "as_of": as_of, "period": period}
    write_past(folder, 70, seed, **span, with_holidays=False, changes_pipelines=False)  # type: ignore[arg-type]
    load(db, folder)
    plain = reference(folder)
    start, end = period
    planned = {
        (row["manager_id"], date.fromisoformat(row["month"]), row["metric"]): int(row["plan"])
        for row in rows_of(folder, "plans")
    }
    given = [Plan(m if m != NONE else None, month, of, Decimal(v)) for (m, month, of), v in planned.items()]
    question = Question(Period(start, end), given, goal=Decimal(5_000_000))
    rates = (question.rates_from.start, question.rates_from.end)
    theirs = {
        "counts": {(): plain.counts()},
        "sales": plain.sales(start, end),
        "loss_reasons": plain.loss_reasons(start, end),
        "funnel_cohort": plain.funnel_cohort(start, end),
        "funnel_cohort_by_manager": plain.funnel_cohort(start, end, "manager_id"),
        "funnel_cohort_by_channel": plain.funnel_cohort(start, end, "channel_id"),
        "funnel_period": plain.funnel_period(start, end),
        "dwell": plain.dwell(start, end),
        "open_pipeline": plain.open_pipeline(),
        "pace": plain.pace(last_day(folder), planned),
        "lead_quality_by_channel": plain.lead_quality(start, end, "channel_id"),
        "lead_quality_by_source": plain.lead_quality(start, end, "utm_source"),
        "reverse_funnel_rates": plain.rates(*rates),
        "reverse_funnel": plain.reverse(*rates, 5_000_000),
    }
    with db.read() as conn, Snapshots(tmp_path / "figures").lazily(conn, ACCOUNT) as snapshot:
        row = account_row(conn, ACCOUNT)
        loaded = HistoryImport(db, FixedClock(NOON)).loaded(ACCOUNT)
        assert row is not None and loaded is not None
        facts = Facts(conn, ACCOUNT, ZoneInfo(row.timezone), loaded.as_of, snapshot)
        for name, expected in theirs.items():
            table = FIGURES[name]
            names = [field.name for field in dataclasses.fields(table.row)]
            values = [n for n in names if n not in (*table.keys, "name", "reason")]
            assert_equal(name, as_mapping(table.compute(facts, question), table.keys, values), expected)
        kept = plans.current(conn, ACCOUNT, date(2024, 12, 1))
        assert {key: v.value for key, v in kept.items()} == {
            (m, of): value for (m, month, of), value in planned.items() if month == date(2024, 12, 1)
        }


def last_day(folder: Path) -> date:
    return date.fromisoformat(json.loads((folder / "account.json").read_text())["last_day"])


def exported(db: Database, folder: Path) -> dict[str, str]:
    """Every table as the file that is compared by others."""
    found = {}
    question = Question(Period(date(2024, 12, 1), date(2025, 1, 1)), goal=Decimal(100))
    with db.read() as conn, Snapshots(folder).lazily(conn, ACCOUNT) as snapshot:
        loaded = HistoryImport(db, FixedClock(NOON)).loaded(ACCOUNT)
        assert loaded is not None
        facts = Facts(conn, ACCOUNT, ZoneInfo("Europe/Moscow"), loaded.as_of, snapshot)
        for name, table in FIGURES.items():
            out = io.StringIO()
            table.write(table.compute(facts, question), "csv", out)
            found[name] = out.getvalue()
    return found


def test_parquet_and_a_second_load_give_the_same(db: Database, tmp_path: Path) -> None:
    folder, same = tmp_path / "csv", tmp_path / "parquet"
    write_past(folder, 60, 4)
    same.mkdir()
    (same / "account.json").write_text((folder / "account.json").read_text())
    with duckdb.connect() as con:
        for table in COLUMNS:
            con.execute(f"COPY (FROM '{folder / table}.csv') TO '{same / table}.parquet'")
    counts = load(db, folder)
    first = exported(db, tmp_path / "figures")
    assert load(db, folder) == counts
    assert exported(db, tmp_path / "figures") == first
    assert load(db, same) == counts
    assert exported(db, tmp_path / "figures") == first


@pytest.mark.parametrize(
    ("table", "column", "cell", "said"),
    [
        ("deals", "created_at", "вчера", "created_at: «вчера»"),
        ("deals", "price", "12.345", "price: «12.345»"),
        ("transitions", "deal_id", "", "deal_id: пусто"),
        ("calls", "direction", "up", "direction: «up»"),
        ("stages", "kind", "perhaps", "kind: «perhaps»"),
    ],
)
def test_a_bad_cell_is_named_and_nothing_is_kept(
    sqlite_url: str, tmp_path: Path, table: str, column: str, cell: str, said: str
) -> None:
    db = Database(sqlite_url)
    folder = tmp_path / "past"
    write_past(folder, 20, 5)
    rows = rows_of(folder, table)
    rows[6][column] = cell
    with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS[table].split(","), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(ConfigError) as caught:
        load(db, folder)
    line = 8 + sum(cell.count("\n") for row in rows[:6] for cell in row.values())
    assert caught.value.problems[0].place == f"{folder / table}.csv:{line}"
    assert said in caught.value.problems[0].message
    assert HistoryImport(db, FixedClock(NOON)).loaded(ACCOUNT) is None
    db.close()
