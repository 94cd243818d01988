"""Numbers of documents: a series of an account counts from 1 each year, and no number is given twice.

Every number that was given is written down with the effect that it was given to, so a number that no document
bears can be explained. Knows nothing of how documents are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from connector.store.schema import documents, number_series, numbers, outbox


@dataclass(frozen=True, slots=True)
class Gap:
    """A number that no document bears; `status` and `error` are its effect's, None when that is gone."""

    series: str
    year: int
    ordinal: int
    given_at: datetime
    deal_id: str | None
    kind: str
    status: str | None
    error: str | None


def reserve(conn: Connection, account: str, series: str, year: int, outbox_key: str, now: datetime) -> int:
    """The next number of the series, from 1; given back to the series if the transaction is rolled back.

    Call it when the document is sure to be issued, and keep the transaction short: others who want a number
    of the same series wait for its end.
    """
    make = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = make(number_series).values(account=account, series=series, year=year, last=1)
    key = [number_series.c.account, number_series.c.series, number_series.c.year]
    counted = statement.on_conflict_do_update(index_elements=key, set_={"last": number_series.c.last + 1})
    ordinal = int(conn.execute(counted.returning(number_series.c.last)).scalar_one())
    given = {"account": account, "series": series, "year": year, "ordinal": ordinal}
    conn.execute(insert(numbers).values(**given, outbox_key=outbox_key, given_at=now))
    return ordinal


def last(conn: Connection, account: str, series: str, year: int) -> int:
    """The number given last in the series, 0 when none was."""
    query = select(number_series.c.last).where(
        number_series.c.account == account, number_series.c.series == series, number_series.c.year == year
    )
    return conn.execute(query).scalar_one_or_none() or 0


def gaps(conn: Connection, account: str, since: datetime, until: datetime) -> list[Gap]:
    """Numbers given in [since, until) that no document bears: of work under way, or of what failed."""
    borne = and_(*(numbers.c[name] == documents.c[name] for name in ("account", "series", "year", "ordinal")))
    decided = and_(numbers.c.account == outbox.c.account, numbers.c.outbox_key == outbox.c.key)
    query = (
        select(
            numbers, outbox.c.deal_id, outbox.c.params, outbox.c.status, outbox.c.error, outbox.c.held_reason
        )
        .outerjoin(documents, borne)
        .outerjoin(outbox, decided)
        .where(numbers.c.account == account, documents.c.id.is_(None))
        .where(numbers.c.given_at >= since, numbers.c.given_at < until)
        .order_by(numbers.c.series, numbers.c.year, numbers.c.ordinal)
    )
    return [
        Gap(
            series=row.series,
            year=row.year,
            ordinal=row.ordinal,
            given_at=row.given_at,
            deal_id=row.deal_id,
            kind=(row.params or {}).get("kind") or row.series.partition("/")[0],
            status=row.status,
            error=row.held_reason if row.status == "held" else row.error,
        )
        for row in conn.execute(query)
    ]
