"""One message to one recipient by one channel, with its status: the trace that a letter left the house."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from connector.store.schema import deliveries
from connector.store.upsert import insert_new


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
) -> bool:
    """Set the «sending» mark; False when this very message was accepted before and must not go again."""
    key = {"account": account, "outbox_key": outbox_key, "channel": channel, "recipient": recipient}
    row = {**key, "message_id": message_id, "subject": subject, "status": "sending", "at": now}
    if insert_new(conn, deliveries, row) is not None:
        return True
    same = [deliveries.c[name] == value for name, value in key.items()]
    status = conn.execute(select(deliveries.c.status).where(*same)).scalar_one()
    if status == "accepted":
        return False
    conn.execute(update(deliveries).where(*same).values(status="sending", at=now))
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
