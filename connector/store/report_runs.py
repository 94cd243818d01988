"""One row a report and slot: who may send it now, what it says, and which recipient has it already.

A slot is claimed by one process at a time. The content is kept from the first attempt on, so that every
recipient gets the same numbers, and each delivery is marked before and after it goes out.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, select, update

from connector.errors import RetryLater
from connector.store.schema import report_runs
from connector.store.upsert import insert_new

RunStatus = Literal["running", "sent", "skipped", "failed"]

#: A claim that was not renewed for so long belongs to a process that is gone. One delivery must fit in.
CLAIM = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class RunKey:
    """The identity of one run. `report` is the name of the schedule."""

    account: str
    report: str
    slot: datetime


@dataclass(slots=True)
class Run:
    """A claimed run. `deliveries`: key -> {status: sending | sent | failed, attempts, id, error}."""

    key: RunKey
    token: str
    is_new: bool
    content: Mapping[str, Any] | None = None
    deliveries: dict[str, dict[str, Any]] = field(default_factory=dict)


class ClaimLost(Exception):
    """Another process took the run over: this one must stop."""


def claim(conn: Connection, key: RunKey, now: datetime) -> Run | None:
    """The run to work on, None when it is sent or skipped.

    Raises RetryLater while another process works on it.
    """
    token = uuid.uuid4().hex
    fresh = {"status": "running", "detail": {"claim": token}, "updated_at": now}
    if insert_new(conn, report_runs, {**_columns(key), **fresh}, returning="account") is not None:
        return Run(key, token, is_new=True)
    row = _row(conn, key)
    if row.status in ("sent", "skipped"):
        return None
    if row.status == "running" and now - row.updated_at < CLAIM:
        raise RetryLater(row.updated_at + CLAIM - now)
    run = Run(key, token, False, row.detail.get("content"), dict(row.detail.get("deliveries", {})))
    _write(conn, run, now, status="running")
    return run


def keep(conn: Connection, run: Run, now: datetime, *, text: str | None = None) -> None:
    """Store content and deliveries as they are now, and renew the claim. Raises ClaimLost."""
    if _row(conn, run.key).detail.get("claim") != run.token:
        raise ClaimLost(f"{run.key.report} {run.key.slot.isoformat()}")
    _write(conn, run, now, **({} if text is None else {"text": text}))


def finish(conn: Connection, run: Run, status: RunStatus, now: datetime, *, error: str = "") -> None:
    """Record how the run ended; «failed» may be claimed again at once. Raises ClaimLost."""
    keep(conn, run, now)
    _write(conn, run, now, error=error, status=status)


def find(conn: Connection, key: RunKey) -> Any | None:
    """The stored row of a run, or None."""
    return conn.execute(select(report_runs).where(*_where(key))).one_or_none()


def latest(conn: Connection, account: str, reports: Collection[str], limit: int) -> list[Any]:
    """The stored rows of the latest runs of those schedules, newest first."""
    query = select(report_runs).where(report_runs.c.account == account, report_runs.c.report.in_(reports))
    return list(conn.execute(query.order_by(report_runs.c.slot.desc()).limit(limit)))


def _row(conn: Connection, key: RunKey) -> Any:
    return conn.execute(select(report_runs).where(*_where(key)).with_for_update()).one()


def _write(conn: Connection, run: Run, now: datetime, *, error: str = "", **values: Any) -> None:
    detail: dict[str, Any] = {"claim": run.token, "deliveries": run.deliveries}
    if run.content is not None:
        detail["content"] = dict(run.content)
    if error:
        detail["error"] = error
    statement = update(report_runs).where(*_where(run.key))
    conn.execute(statement.values(detail=detail, updated_at=now, **values))


def _columns(key: RunKey) -> dict[str, Any]:
    return {"account": key.account, "report": key.report, "slot": key.slot}


def _where(key: RunKey) -> list[Any]:
    return [report_runs.c[name] == value for name, value in _columns(key).items()]
