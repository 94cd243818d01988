"""One message to one recipient by one channel, with its status: the trace that a letter left the house."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, select, update

from connector.store.schema import deliveries
from connector.store.upsert import insert_new


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was accepted. `variant`: which of several letters, "" where there is one."""

    recipient: str
    message_id: str
    subject: str
    variant: str
    template_sha256: str


def accepted(conn: Connection, account: str, outbox_key: str, channel: str) -> Delivery | None:
    """What an effect has sent by that channel, to whomever; None when nothing was accepted yet."""
    row = conn.execute(
        select(*(deliveries.c[field.name] for field in fields(Delivery))).where(
            deliveries.c.account == account,
            deliveries.c.outbox_key == outbox_key,
            deliveries.c.channel == channel,
            deliveries.c.status == "accepted",
        )
    ).first()
    return Delivery(**row._mapping) if row else None


def begin(
    conn: Connection,
    *,
    account: str,
    outbox_key: str,
    channel: str,
    recipient: str,
    message_id: str,
    subject: str,
    now: datetime,
    variant: str = "",
    template_sha256: str = "",
) -> bool:
    """Set the «sending» mark; False when this effect's message was accepted before and must not go again."""
    if accepted(conn, account, outbox_key, channel) is not None:
        return False
    key = {"account": account, "outbox_key": outbox_key, "channel": channel, "recipient": recipient}
    said = {"message_id": message_id, "subject": subject, "status": "sending", "at": now}
    said |= {"variant": variant, "template_sha256": template_sha256}
    if insert_new(conn, deliveries, {**key, **said}) is None:
        same = [deliveries.c[name] == value for name, value in key.items()]
        conn.execute(update(deliveries).where(*same).values(**said))
    return True


def conclude(
    conn: Connection,
    *,
    account: str,
    outbox_key: str,
    channel: str,
    recipient: str,
    error: str | None,
    now: datetime,
) -> None:
    """Write down that the message was accepted, or, with `error`, that it was not."""
    conn.execute(
        update(deliveries)
        .where(
            deliveries.c.account == account,
            deliveries.c.outbox_key == outbox_key,
            deliveries.c.channel == channel,
            deliveries.c.recipient == recipient,
        )
        .values(status="failed" if error else "accepted", detail=error or "", at=now)
    )
