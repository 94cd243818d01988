"""Whether the CRM still calls us: amoCRM switches a webhook off after many bad answers, people delete one.

Where the CRM can be asked and says no, the subscription is made anew, and status tells when that was. Only
for accounts that have called us before: the first subscription is `connect`'s, made before a person's eyes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.store import cursors, inbox
from connector.store.database import Database

log = logging.getLogger(__name__)

#: Under this name it is kept when a subscription was repaired last: {"at": ISO moment}.
REPAIRED = "webhook_repaired"


class HookWatch:
    """`address` gives the address that an account's CRM has to call; it holds a secret."""

    def __init__(
        self, db: Database, clients: Mapping[str, CrmClient], address: Callable[[str], str], clock: Clock
    ) -> None:
        self._db = db
        self._clients = clients
        self._address = address
        self._clock = clock

    def check(self, account: str) -> bool:
        """Repair the account's subscription if the CRM has none; whether it did. Raises CrmError."""
        with self._db.read() as conn:
            if inbox.last_received_at(conn, account) is None:
                return False
        client, address = self._clients[account], self._address(account)
        if client.is_subscribed(address) is not False:
            return False
        client.subscribe(address)
        now = self._clock.now()
        with self._db.begin() as conn:
            cursors.save(conn, account, REPAIRED, {"at": now.isoformat()}, now)
        log.warning(
            "the CRM had stopped calling us; its webhook is on again",
            extra={"action": "webhook_repaired", "account": account},
        )
        return True
