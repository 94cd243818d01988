"""Work decided and not yet done: one row an effect, unique by its idempotency key.

A row goes from «ready» through «sending» to «done», «held» or «dead». Whoever changes a row says how he saw
it last: if it has gone on since (a worker that lost its job wakes up late), nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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


def start_attempt(conn: Connection, effect: Effect, now: datetime) -> Effect:
    """Set the «sending» mark before anything leaves, so that a crash after it is seen; the effect as it is
    now, but for `updated_at`, which still tells since when it was waiting."""
    attempts = conn.execute(
        update(outbox)
        .where(outbox.c.id == effect.id)
        .values(status="sending", attempts=outbox.c.attempts + 1, updated_at=now)
        .returning(outbox.c.attempts)
    ).scalar_one()
    return replace(effect, status="sending", attempts=attempts)


def put_back(conn: Connection, effect: Effect, now: datetime, error: str | None = None) -> bool:
    """Wait for another attempt."""
    return _change(conn, effect, status="ready", error=error, updated_at=now)


def finish(conn: Connection, effect: Effect, result: Mapping[str, Any], now: datetime) -> bool:
    return _change(
        conn,
        effect,
        status="done",
        result=dict(result),
        done_at=now,
        updated_at=now,
        error=None,
        held_reason=None,
        missing=None,
    )


def remember(conn: Connection, effect_id: int, result: Mapping[str, Any]) -> None:
    """Keep what an attempt has got so far, for the next one to go on with."""
    conn.execute(update(outbox).where(outbox.c.id == effect_id).values(result=dict(result)))


def hold(
    conn: Connection,
    effect: Effect,
    reason: str,
    missing: Sequence[MissingField],
    ask_key: str | None,
    now: datetime,
) -> bool:
    """Nothing left the house: the attempt is uncounted, so that the next one needs no search for traces.

    `ask_key`: the effect that asked a person for the missing data. What was remembered stays.
    """
    kept = conn.execute(select(outbox.c.result).where(outbox.c.id == effect.id)).scalar_one()
    return _change(
        conn,
        effect,
        status="held",
        held_reason=reason,
        missing=[[field.name, field.where] for field in missing],
        result={**(kept or {}), "ask_key": ask_key},
        error=None,
        attempts=outbox.c.attempts - 1,
        updated_at=now,
    )


def bury(conn: Connection, effect: Effect, error: str, now: datetime) -> bool:
    return _change(conn, effect, status="dead", error=error, updated_at=now)


def cancel(conn: Connection, effect: Effect, reason: str, now: datetime) -> bool:
    return _change(conn, effect, status="cancelled", error=reason, updated_at=now)


def _change(conn: Connection, effect: Effect, **values: Any) -> bool:
    """Whether the row still stood as `effect` says and has the new values now."""
    seen = (
        outbox.c.id == effect.id,
        outbox.c.status == effect.status,
        outbox.c.attempts == effect.attempts,
    )
    return conn.execute(update(outbox).where(*seen).values(**values)).rowcount == 1


def held_of(conn: Connection, account: str, deal_ids: Sequence[str]) -> list[Effect]:
    """Held effects of these deals, oldest first."""
    return _of_deals(conn, account, deal_ids, ("held",))


def stopped_of(conn: Connection, account: str, deal_id: str) -> list[Effect]:
    """Effects that go on when the deal is seen alive: held ones, and those cancelled when it was gone."""
    return _of_deals(conn, account, [deal_id], ("held", "cancelled"))


def _of_deals(
    conn: Connection, account: str, deal_ids: Sequence[str], statuses: Sequence[Status]
) -> list[Effect]:
    if not deal_ids:
        return []
    statement = (
        select(outbox)
        .where(outbox.c.account == account, outbox.c.status.in_(statuses), outbox.c.deal_id.in_(deal_ids))
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
