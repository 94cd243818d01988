"""Whether a CRM still takes the key of the settings; where it does not, work waits and people are told.

Consent given by OAuth has a memory of its own (`crm/oauth.py`): this one is for keys that nothing renews.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from connector.config import AccountConfig
from connector.store import cursors

#: Under this name it is kept since when the key is refused: {"since": ISO moment}.
REFUSED = "key_refused"

_ADVICE = {
    "amocrm": "выпустите новый долгосрочный токен, запишите его в CRM_TOKEN и перезапустите Коннектор",
    "bitrix24": "выпустите новый входящий вебхук, запишите его в CRM_URL и перезапустите Коннектор",
}


def refused(conn: Connection, account: str, now: datetime) -> None:
    """The CRM refused the account's key; the first moment is kept."""
    if cursors.find(conn, account, REFUSED) is None:
        cursors.save(conn, account, REFUSED, {"since": now.isoformat()}, now)


def accepted(conn: Connection, account: str) -> bool:
    """The CRM took the account's key. Whether it had refused it before: what waits for that may go on."""
    if cursors.find(conn, account, REFUSED) is None:
        return False
    cursors.drop(conn, account, REFUSED)
    return True


def problem(conn: Connection, account: AccountConfig) -> tuple[datetime, str] | None:
    """Since when the key is refused, and what to do, in Russian; None while it is taken."""
    kept = cursors.find(conn, account.name, REFUSED)
    if kept is None:
        return None
    return datetime.fromisoformat(kept["since"]), _ADVICE[account.crm]
