"""What each rule said of each move, with its trace: the memory behind `connector why`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from connector.store.schema import rule_runs
from connector.store.upsert import insert_new


@dataclass(frozen=True, slots=True)
class RuleRun:
    """One question to one rule. result: match | no_match | error | repeated (had fired before)."""

    id: int
    deal_id: str
    rule: str
    trigger: str
    event_id: str
    result: str
    trace: list[list[Any]]
    at: datetime


def add(
    conn: Connection,
    *,
    account: str,
    deal_id: str,
    rule: str,
    trigger: str,
    event_id: str,
    result: str,
    trace: Sequence[tuple[str, object]],
    at: datetime,
) -> int | None:
    """Write down an evaluation; its id, or None when this rule was asked about this move before."""
    row_id = insert_new(
        conn,
        rule_runs,
        {
            "account": account,
            "deal_id": deal_id,
            "rule": rule,
            "trigger": trigger[:64],
            "event_id": event_id,
            "result": result,
            "trace": [[what, value if isinstance(value, bool) else _shown(value)] for what, value in trace],
            "at": at,
        },
    )
    return None if row_id is None else int(row_id)


def of_deal(conn: Connection, account: str, deal_id: str) -> list[RuleRun]:
    """All evaluations about a deal, oldest first."""
    statement = (
        select(rule_runs)
        .where(rule_runs.c.account == account, rule_runs.c.deal_id == deal_id)
        .order_by(rule_runs.c.id)
    )
    return [
        RuleRun(r.id, r.deal_id, r.rule, r.trigger, r.event_id, r.result, r.trace, r.at)
        for r in conn.execute(statement)
    ]


def _shown(value: object) -> str:
    return "" if value is None else str(value)
