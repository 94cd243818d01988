"""Plans of months as they were set, each change kept: the newest row of a key is the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from sqlalchemy import Connection, select

from connector.store.schema import month_plans
from connector.store.upsert import insert_new

Source = Literal["playbook", "crm", "hand", "import"]

#: (manager id, "" for the department's undivided part; metric)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One setting of a plan. value None: it was taken back."""

    manager_id: str
    metric: str
    value: Decimal | None
    source: Source
    set_at: datetime


def history(conn: Connection, account: str, month: date) -> list[PlanRow]:
    """Every setting of the month's plans, the oldest first."""
    columns = month_plans.c
    rows = conn.execute(
        select(columns.manager_id, columns.metric, columns.value, columns.source, columns.set_at)
        .where(columns.account == account, columns.month == month)
        .order_by(columns.set_at, columns.manager_id, columns.metric)
    )
    return [PlanRow(*row) for row in rows]


def current(conn: Connection, account: str, month: date) -> dict[Key, PlanRow]:
    """The month's plans that stand, by manager and metric."""
    newest = {(row.manager_id, row.metric): row for row in history(conn, account, month)}
    return {key: row for key, row in newest.items() if row.value is not None}


def record(
    conn: Connection,
    account: str,
    month: date,
    plans: Mapping[Key, Decimal],
    source: Source,
    now: datetime,
    metrics: Iterable[str] | None = None,
) -> int:
    """Make `plans` the month's plans, writing what differs only; how many keys changed.

    metrics: only these are spoken of, plans of others stay; None: all.
    """
    spoken = None if metrics is None else set(metrics)
    before = {
        key: row for key, row in current(conn, account, month).items() if spoken is None or key[1] in spoken
    }
    changed: dict[Key, Decimal | None] = {
        key: value for key, value in plans.items() if key not in before or before[key].value != value
    }
    changed.update((key, None) for key in before if key not in plans)
    for (manager_id, metric), value in changed.items():
        insert_new(
            conn,
            month_plans,
            {
                "account": account,
                "manager_id": manager_id,
                "month": month,
                "metric": metric,
                "set_at": now,
                "value": value,
                "source": source,
            },
            returning="metric",
        )
    return len(changed)
