"""Files of a sent report, and the links to its page: until when each holds, and whether it was taken back.

Of a link's secret word only the digest is here: who reads the store cannot open a report by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, delete, select, update

from connector.domain import CrmFile
from connector.store.report_runs import RunKey
from connector.store.schema import report_files, report_links
from connector.store.upsert import insert_new


@dataclass(frozen=True, slots=True)
class ReportLink:
    """One link to one run's page. `serial` counts the run's links from 1."""

    key: RunKey
    serial: int
    digest: str
    expires_at: datetime
    withdrawn_at: datetime | None

    def holds_at(self, moment: datetime) -> bool:
        return self.withdrawn_at is None and moment < self.expires_at


def keep_files(conn: Connection, key: RunKey, files: Iterable[CrmFile]) -> None:
    """Keep the run's files; those it had are replaced."""
    conn.execute(delete(report_files).where(*_where(report_files, key)))
    for file in files:
        row = {"name": file.name, "mime_type": file.mime_type, "content": file.content}
        insert_new(conn, report_files, {**_columns(key), **row}, returning="name")


def files(conn: Connection, key: RunKey) -> list[CrmFile]:
    """The run's files by name."""
    query = select(report_files).where(*_where(report_files, key)).order_by(report_files.c.name)
    return [CrmFile(row.name, row.content, row.mime_type) for row in conn.execute(query)]


def add_link(
    conn: Connection, key: RunKey, serial: int, digest: str, expires_at: datetime, now: datetime
) -> bool:
    """Keep a link; False when the run has one of that serial already."""
    row = {"serial": serial, "digest": digest, "created_at": now, "expires_at": expires_at}
    return insert_new(conn, report_links, {**_columns(key), **row}, returning="serial") is not None


def by_digest(conn: Connection, digest: str) -> ReportLink | None:
    row = conn.execute(select(report_links).where(report_links.c.digest == digest)).one_or_none()
    return _link(row) if row else None


def latest(conn: Connection, key: RunKey) -> ReportLink | None:
    """The run's newest link, whether it still holds or not; None when it never had one."""
    query = select(report_links).where(*_where(report_links, key)).order_by(report_links.c.serial.desc())
    row = conn.execute(query.limit(1)).one_or_none()
    return _link(row) if row else None


def withdraw(conn: Connection, account: str, report: str, now: datetime) -> int:
    """Take back every link to the pages of one schedule's report; how many held until now."""
    statement = (
        update(report_links)
        .where(report_links.c.account == account, report_links.c.report == report)
        .where(report_links.c.withdrawn_at.is_(None), report_links.c.expires_at > now)
        .values(withdrawn_at=now)
    )
    return conn.execute(statement).rowcount


def prune(conn: Connection, before: datetime) -> int:
    """Forget the files of runs older than that, and the links that ran out by then; how many files went."""
    conn.execute(delete(report_links).where(report_links.c.expires_at < before))
    return conn.execute(delete(report_files).where(report_files.c.slot < before)).rowcount


def _link(row: object) -> ReportLink:
    got = row._mapping  # type: ignore[attr-defined]
    key = RunKey(got["account"], got["report"], got["slot"])
    return ReportLink(key, got["serial"], got["digest"], got["expires_at"], got["withdrawn_at"])


def _columns(key: RunKey) -> dict[str, object]:
    return {"account": key.account, "report": key.report, "slot": key.slot}


def _where(table: Table, key: RunKey) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in _columns(key).items()]
