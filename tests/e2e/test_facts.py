"""What a department did, read through either CRM, is what its history says; row for row, table by table.

The same folder is loaded into the sandbox, read by backfill over HTTP, and loaded straight into the store.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from connector.clock import SystemClock
from connector.config import CrmName
from connector.domain import Period
from connector.history_import import HistoryImport
from connector.sandbox.app import Sandbox
from connector.sandbox.generate import generate
from connector.sandbox.history_files import read_history, write_history
from connector.sandbox.state import Note, Task
from connector.store import schema
from tests.e2e.stand import Stand

FILES = "files"

#: Columns that a table of activities has in both; ids are the CRM's own.
COLUMNS = {
    "calls": ("deal_id", "manager_id", "at", "direction", "answered", "duration_s"),
    "messages": ("deal_id", "manager_id", "at", "direction"),
    "meetings": ("deal_id", "manager_id", "created_at", "planned_at", "held_at", "status"),
    "tasks": ("deal_id", "manager_id", "created_at", "due_at", "completed_at"),
    "invoices": ("deal_id", "manager_id", "issued_at", "amount", "currency", "status", "paid_at"),
}
DEAL_COLUMNS = (
    *("deal_id", "name", "outcome", "amount", "currency", "responsible_id", "utm_source", "utm_medium"),
    *("utm_campaign", "loss_reason_id", "created_at", "closed_at"),
)


@pytest.fixture(scope="module")
def folder(crm: CrmName, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("facts") / "history"
    history = generate(date.today(), days=40, seed=5)
    if crm == "amocrm":  # whose deals have whole amounts only
        whole = [deal._replace(price=deal.price and Decimal(int(deal.price))) for deal in history.deals]
        history.deals[:] = whole
    write_history(history, folder)
    return folder


@pytest.fixture(scope="module")
def stand(crm: CrmName, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Everything is read once; the same folder stands beside it as an account of its own."""
    file = tmp_path_factory.mktemp("facts") / "connector.db"
    with Sandbox(history=folder) as sandbox:
        sandbox.faults.limits_on = False
        with Stand(sandbox, crm, f"sqlite:///{file}") as stand:
            HistoryImport(stand.app.db, SystemClock()).run(folder, FILES, lambda *_: None)
            stand.app.backfill.run("main")
            yield stand


def rows(stand: Stand, account: str, table: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    source = schema.metadata.tables[table]
    statement = select(*(source.c[name] for name in columns)).where(source.c.account == account)
    if "is_deleted" in source.c:
        statement = statement.where(source.c.is_deleted.is_(False))
    with stand.app.db.read() as conn:
        return [tuple(row) for row in conn.execute(statement)]


def living(stand: Stand) -> set[str]:
    return {row[0] for row in rows(stand, FILES, "deals", ("deal_id",))}


def differences(read: list[Any], loaded: list[Any]) -> list[str]:
    ours, theirs = Counter(read), Counter(loaded)
    lacking, extra = theirs - ours, ours - theirs
    return [f"- {row}" for row in list(lacking)[:3]] + [f"+ {row}" for row in list(extra)[:3]]


@pytest.mark.parametrize("table", COLUMNS)
def test_activities_are_the_historys_to_the_row(stand: Stand, table: str) -> None:
    deals = living(stand)
    read, loaded = (
        [row for row in rows(stand, account, table, COLUMNS[table]) if row[0] in deals]
        for account in ("main", FILES)
    )
    assert len(loaded) > 20
    found = differences(read, loaded)
    assert not found, "\n".join(found)


def test_nothing_but_the_history_is_read_and_what_is_of_no_living_deal_belongs_to_none(stand: Stand) -> None:
    known = {row[0] for row in rows(stand, "main", "deals", ("deal_id",))}
    assert known == living(stand)
    for table in COLUMNS:
        loaded = len(rows(stand, FILES, table, ("account",)))
        assert len(rows(stand, "main", table, ("account",))) <= loaded, table


def _plain(cell: Any) -> Any:
    """No CRM keeps spaces around a text, nor tells an amount of 0 from none; no figure does."""
    return (cell.strip() if isinstance(cell, str) else cell) or None


def test_deals_are_the_historys_to_the_row(stand: Stand) -> None:
    read, loaded = (
        [tuple(_plain(cell) for cell in row) for row in found]
        for found in (rows(stand, account, "deals", DEAL_COLUMNS) for account in ("main", FILES))
    )
    found = differences(read, loaded)
    assert not found, "\n".join(found)
    names = dict(rows(stand, FILES, "channels", ("channel_id", "name")))
    by_name = {row[0]: row[1] for row in rows(stand, "main", "deals", ("deal_id", "channel"))}
    by_id = {row[0]: row[1] for row in rows(stand, FILES, "deals", ("deal_id", "channel"))}
    assert by_name == {deal_id: names.get(channel) for deal_id, channel in by_id.items()}


def stage_names(stand: Stand, account: str) -> dict[tuple[str, str], tuple[str, str]]:
    columns = ("pipeline_id", "stage_id", "pipeline_name", "name")
    return {row[:2]: row[2:] for row in rows(stand, account, "stages", columns)}


def test_moves_are_the_historys_to_the_row(stand: Stand) -> None:
    columns = ("deal_id", "at", "to_pipeline_id", "to_stage_id", "from_stage_id")
    found = []
    for account in ("main", FILES):
        names, deals = stage_names(stand, account), living(stand)
        found.append(
            [
                (
                    *(deal_id, at, names[pipeline, to_stage][1]),
                    names[pipeline, from_stage][1] if from_stage else None,
                )
                for deal_id, at, pipeline, to_stage, from_stage in rows(
                    stand, account, "stage_changes", columns
                )
                if deal_id in deals
            ]
        )
    read, loaded = found
    assert len(loaded) > 100
    found = differences(read, loaded)
    assert not found, "\n".join(found)


def test_managers_have_their_teams_and_stages_their_marks(stand: Stand) -> None:
    columns = ("user_id", "name", "team")
    read, loaded = (set(rows(stand, account, "users", columns)) for account in ("main", FILES))
    assert loaded <= read
    marks = []
    for account in ("main", FILES):
        columns = ("pipeline_name", "name", "is_qualified", "is_key")
        found = rows(stand, account, "stages", columns)
        marks.append({row for row in found if row[1] not in ("Неразобранное",) and (row[2] or row[3])})
    won = {row for row in marks[0] | marks[1] if row[1] in ("Успешно реализовано", "Сделка успешна")}
    assert {row[:2] for row in marks[0] - won} == {row[:2] for row in marks[1] - won}


def test_reading_it_all_once_more_changes_nothing(stand: Stand) -> None:
    before = {table: sorted(rows(stand, "main", table, COLUMNS[table]), key=repr) for table in COLUMNS}
    counts = stand.app.backfill.run("main", anew=True).counts
    assert {name: counts[name].new for name in ("activities", "tasks", "invoices")} == {
        "activities": 0,
        "tasks": 0,
        "invoices": 0,
    }
    assert {
        table: sorted(rows(stand, "main", table, COLUMNS[table]), key=repr) for table in COLUMNS
    } == before


#: Tables, and which of their rows and columns do not depend on how a CRM names stages and channels.
FIGURE_TABLES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "kpi": lambda row: (row["period"], row["manager"], row["start"], row["metric"], row["fact"]),
    "lead_quality_by_source": lambda row: tuple(row.values()),
    "loss_reasons": lambda row: tuple(row.values()) if row["dim"] in ("all", "manager") else None,
    "sales": lambda row: tuple(row.values()) if row["dim"] in ("all", "manager") else None,
    "reverse_funnel_rates": lambda row: tuple(row.values())[1:] if row["pipeline"] == "all" else None,
}


def figures(stand: Stand, account: str, name: str, told: Any) -> list[Any]:
    out = io.StringIO()
    period = Period(told.period_from, told.period_to)
    cohort = Period(told.last_day - timedelta(days=30), told.last_day)
    stand.app.reporting.write_table(account, name, period, "json", out, as_of=told.as_of_utc, cohort=cohort)
    chosen = (FIGURE_TABLES[name](row) for row in json.loads(out.getvalue()))
    return [row for row in chosen if row is not None]


@pytest.mark.parametrize("name", FIGURE_TABLES)
def test_figures_of_what_was_read_are_those_of_the_history(stand: Stand, folder: Path, name: str) -> None:
    told = read_history(folder).account
    read, loaded = (figures(stand, account, name, told) for account in ("main", FILES))
    if name == "kpi":  # plans are each account's own: only facts are compared
        read, loaded = ([row for row in found if Decimal(row[-1] or 0)] for found in (read, loaded))
    assert len(loaded) > 0
    found = differences(read, loaded)
    assert not found, "\n".join(found)


class Manager:
    """What a manager does in the CRM, each CRM in its own way."""

    def __init__(self, stand: Stand) -> None:
        self.stand, self.portal = stand, stand.portal
        self.by = stand.manager_id

    def calls(self, deal_id: int) -> None:
        if self.stand.crm == "amocrm":
            now = self.portal.now()
            params = {"uniq": "1", "duration": 61, "source": "АТС", "phone": "+79160000000", "call_status": 4}
            note = Note(0, "deal", deal_id, "call_out", "", self.by, now, now, params=params)
            self.portal.add("note", note, by=self.by)
            return
        fields = {
            "OWNER_TYPE_ID": 2, "OWNER_ID": deal_id, "TYPE_ID": 2, "DIRECTION": 2, "COMPLETED": "Y",
            "SUBJECT": "Звонок", "RESPONSIBLE_ID": self.by, "COMMUNICATIONS": [{"VALUE": "+79160000000"}],
        }  # fmt: skip
        self._rest("crm.activity.add", {"fields": fields})

    def holds_a_meeting(self) -> str:
        """Close a meeting that is planned; its id as a fact."""
        task = next(task for task in self.portal.tasks.rows() if task.kind == 2 and not task.is_done)
        if self.stand.crm == "amocrm":
            self.portal.update("task", task.id, {"is_done": True, "result": "Состоялась"}, by=self.by)
            return f"task:{task.id}"
        found = self._rest("crm.activity.list", {"filter": {"TYPE_ID": 1, "OWNER_ID": task.entity_id}})
        number = next(row["ID"] for row in found if row["COMPLETED"] == "N")
        self._rest("crm.activity.update", {"id": number, "fields": {"COMPLETED": "Y"}})
        return f"activity:{number}"

    def plans_to_write(self, deal_id: int) -> str:
        now = self.portal.now()
        due_at = now + timedelta(days=1)
        task = Task(0, "Написать клиенту", self.by, due_at, "deal", deal_id, self.by, now, now)
        return str(self.portal.add("task", task, by=self.by).id)

    def deletes(self, task_id: str) -> None:
        self.portal.delete("task", int(task_id), by=self.by)

    def _rest(self, method: str, params: dict[str, Any]) -> Any:
        door = self.stand.sandbox.describe()["bitrix24"]["webhook_url"]
        return requests.post(f"{door.rstrip('/')}/{method}.json", json=params, timeout=10).json()["result"]


@pytest.fixture(scope="module")
def manager(stand: Stand) -> Manager:
    return Manager(stand)


def calls_of(stand: Stand, deal_id: int) -> int:
    return len([row for row in rows(stand, "main", "calls", ("deal_id",)) if row[0] == str(deal_id)])


def held(stand: Stand) -> set[str]:
    return {row[0] for row in rows(stand, "main", "meetings", ("meeting_id", "status")) if row[1] == "held"}


def task_ids(stand: Stand) -> set[str]:
    return {row[0] for row in rows(stand, "main", "tasks", ("task_id",))}


def test_hooks_bring_what_managers_do_and_what_they_delete(stand: Stand, manager: Manager) -> None:
    deal_id = stand.add_deal()
    unwanted = min(task_ids(stand))
    manager.calls(deal_id)
    meeting = manager.holds_a_meeting()
    task = manager.plans_to_write(deal_id)
    manager.deletes(unwanted)

    def all_of_it() -> bool:
        is_there = calls_of(stand, deal_id) == 1 and meeting in held(stand) and task in task_ids(stand)
        return is_there and unwanted not in task_ids(stand)

    stand.wait_for(all_of_it, "a call, a meeting that was held, a new task, one that is gone")


def test_what_hooks_did_not_tell_is_read_by_the_clock(stand: Stand, manager: Manager) -> None:
    stand.settle()
    deal_id = stand.add_deal()
    unwanted = min(task_ids(stand))
    stand.sandbox.faults.drop_share = 1.0
    try:
        manager.calls(deal_id)
        meeting = manager.holds_a_meeting()
        task = manager.plans_to_write(deal_id)
        manager.deletes(unwanted)
        stand.settle()
    finally:
        stand.sandbox.faults.drop_share = 0.0
    assert calls_of(stand, deal_id) == 0
    feed = stand.app.activity_feed
    feed.catch_up("main")
    assert calls_of(stand, deal_id) == 1
    assert meeting in held(stand)
    assert task in task_ids(stand)
    # What is gone is found by asking after a portion at a time.
    for _ in range(40):
        if unwanted not in task_ids(stand):
            break
        feed.catch_up("main")
    assert unwanted not in task_ids(stand)
    known = task_ids(stand)
    feed.catch_up("main")
    assert task_ids(stand) == known, "nothing else was taken for gone"
