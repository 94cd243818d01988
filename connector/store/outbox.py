"""Work decided and not yet done: one row an effect, unique by its idempotency key.

A row goes from «ready» through «sending» to «done», «held» or «dead».
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, func, select, update

from connector.errors import MissingField
from connector.store.schema import outbox
from connector.store.upsert import insert_new

Status = Literal["ready", "sending", "done", "held", "dead", "cancelled"]


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect. `attempts` counts the tries that went out; «sending» is set before each of them."""

    id: int
    account: str
    key: str
    run_id: int | None
    deal_id: str | None
    rule: str
    position: int
    action: str
    params: Mapping[str, Any]
    status: Status
    held_reason: str | None
    missing: tuple[MissingField, ...]
    result: Mapping[str, Any]
    error: str | None
    attempts: int
    created_at: datetime
    updated_at: datetime
    done_at: datetime | None

    @property
    def may_exist(self) -> bool:
        """Whether an earlier attempt may have reached the other side without our knowing."""
        return self.attempts > 1


def add(
    conn: Connection,
    *,
    account: str,
    key: str,
    rule: str,
    action: str,
    params: Mapping[str, Any],
    deal_id: str | None,
    now: datetime,
    run_id: int | None = None,
    position: int = 0,
) -> int | None:
    """Decide an effect; its row id, or None when an effect with this key was decided before."""
    row_id = insert_new(
        conn,
        outbox,
        {
            "account": account,
            "key": key,
            "run_id": run_id,
            "deal_id": deal_id,
            "rule": rule,
            "position": position,
            "action": action,
            "params": dict(params),
            "status": "ready",
            "created_at": now,
            "updated_at": now,
        },
    )
    return None if row_id is None else int(row_id)


def find(conn: Connection, effect_id: int) -> Effect | None:
    row = conn.execute(select(outbox).where(outbox.c.id == effect_id)).one_or_none()
    return _read(row) if row else None


def by_key(conn: Connection, account: str, key: str) -> Effect | None:
    row = conn.execute(select(outbox).where(outbox.c.account == account, outbox.c.key == key)).one_or_none()
    return _read(row) if row else None


def of_run(conn: Connection, run_id: int) -> list[Effect]:
    """The effects that one firing of a rule decided, in their order."""
    statement = select(outbox).where(outbox.c.run_id == run_id).order_by(outbox.c.position)
    return [_read(row) for row in conn.execute(statement)]


def of_deal(conn: Connection, account: str, deal_id: str) -> list[Effect]:
    """All effects about a deal, oldest first."""
    statement = (
        select(outbox).where(outbox.c.account == account, outbox.c.deal_id == deal_id).order_by(outbox.c.id)
    )
    return [_read(row) for row in conn.execute(statement)]


def with_key_prefix(conn: Connection, account: str, prefix: str) -> list[Effect]:
    """Effects whose key starts with `prefix`, oldest first."""
    statement = (
        select(outbox)
        .where(outbox.c.account == account, outbox.c.key.startswith(prefix, autoescape=True))
        .order_by(outbox.c.id)
    )
    return [_read(row) for row in conn.execute(statement)]


def with_status(
    conn: Connection, status: Status, account: str | None = None, limit: int = 200
) -> list[Effect]:
    """The latest effects in that state, newest first."""
    statement = select(outbox).where(outbox.c.status == status).order_by(outbox.c.id.desc()).limit(limit)
    if account is not None:
        statement = statement.where(outbox.c.account == account)
    return [_read(row) for row in conn.execute(statement)]


def latest(conn: Connection, account: str, limit: int) -> list[Effect]:
    """The latest effects of an account, whatever became of them, newest first."""
    statement = select(outbox).where(outbox.c.account == account).order_by(outbox.c.id.desc()).limit(limit)
    return [_read(row) for row in conn.execute(statement)]


def start_attempt(conn: Connection, effect_id: int, now: datetime) -> None:
    """Set the «sending» mark before anything leaves, so that a crash after it is seen."""
    conn.execute(
        update(outbox)
        .where(outbox.c.id == effect_id)
        .values(status="sending", attempts=outbox.c.attempts + 1, updated_at=now)
    )


def put_back(conn: Connection, effect_id: int, now: datetime, error: str | None = None) -> None:
    """Wait for another attempt."""
    conn.execute(
        update(outbox).where(outbox.c.id == effect_id).values(status="ready", error=error, updated_at=now)
    )


def finish(conn: Connection, effect_id: int, result: Mapping[str, Any], now: datetime) -> None:
    conn.execute(
        update(outbox)
        .where(outbox.c.id == effect_id)
        .values(
            status="done",
            result=dict(result),
            done_at=now,
            updated_at=now,
            error=None,
            held_reason=None,
            missing=None,
        )
    )


def remember(conn: Connection, effect_id: int, result: Mapping[str, Any]) -> None:
    """Keep what an attempt has got so far, for the next one to go on with."""
    conn.execute(update(outbox).where(outbox.c.id == effect_id).values(result=dict(result)))


def hold(
    conn: Connection,
    effect_id: int,
    reason: str,
    missing: Sequence[MissingField],
    ask_key: str | None,
    now: datetime,
) -> None:
    """Nothing left the house: the attempt is uncounted, so that the next one needs no search for traces.

    `ask_key`: the effect that asked a person for the missing data.
    """
    conn.execute(
        update(outbox)
        .where(outbox.c.id == effect_id)
        .values(
            status="held",
            held_reason=reason,
            missing=[[field.name, field.where] for field in missing],
            result={"ask_key": ask_key} if ask_key else None,
            attempts=outbox.c.attempts - 1,
            updated_at=now,
        )
    )


def bury(conn: Connection, effect_id: int, error: str, now: datetime) -> None:
    conn.execute(
        update(outbox).where(outbox.c.id == effect_id).values(status="dead", error=error, updated_at=now)
    )


def cancel(conn: Connection, effect_id: int, reason: str, now: datetime) -> None:
    conn.execute(
        update(outbox)
        .where(outbox.c.id == effect_id)
        .values(status="cancelled", error=reason, updated_at=now)
    )


def held_of(conn: Connection, account: str, deal_ids: Sequence[str]) -> list[Effect]:
    """Held effects of these deals, oldest first."""
    if not deal_ids:
        return []
    statement = (
        select(outbox)
        .where(outbox.c.account == account, outbox.c.status == "held", outbox.c.deal_id.in_(deal_ids))
        .order_by(outbox.c.id)
    )
    return [_read(row) for row in conn.execute(statement)]


def counts(conn: Connection, account: str) -> dict[str, int]:
    """Number of effects by status."""
    statement = (
        select(outbox.c.status, func.count().label("number"))
        .where(outbox.c.account == account)
        .group_by(outbox.c.status)
    )
    return {row.status: row.number for row in conn.execute(statement)}


def _read(row: Any) -> Effect:
    return Effect(
        id=row.id,
        account=row.account,
        key=row.key,
        run_id=row.run_id,
        deal_id=row.deal_id,
        rule=row.rule,
        position=row.position,
        action=row.action,
        params=row.params,
        status=row.status,
        held_reason=row.held_reason,
        missing=tuple(MissingField(name, where) for name, where in row.missing or ()),
        result=row.result or {},
        error=row.error,
        attempts=row.attempts,
        created_at=row.created_at,
        updated_at=row.updated_at,
        done_at=row.done_at,
    )
