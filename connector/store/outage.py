"""The database is away for a while: wait longer and longer, and say so in one sentence, not in thousands."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

log = logging.getLogger(__name__)

#: Whatever the store can answer instead of doing what it was asked.
StoreError = SQLAlchemyError
#: What a database that is away for a while makes of a statement.
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)

FIRST_WAIT = timedelta(seconds=0.5)
LONGEST_WAIT = timedelta(seconds=15)


class Outage:
    """What several threads of one part of the program know about the database being away."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._lock = threading.Lock()
        self._failures = 0

    def failed(self, error: Exception) -> timedelta:
        """How long to wait before the next try; logs the first failure of a row of them."""
        with self._lock:
            self._failures += 1
            failures = self._failures
        if failures == 1:
            log.warning(
                "%s: the database does not answer (%s); trying again until it does",
                self._who,
                _first_line(error),
                extra={"action": "database_away"},
            )
        return min(LONGEST_WAIT, FIRST_WAIT * (1 << min(failures - 1, 10)))

    def over(self) -> None:
        """A try succeeded; logs it when the ones before had failed."""
        if not self._failures:
            return
        with self._lock:
            failures, self._failures = self._failures, 0
        if failures:
            log.warning(
                "%s: the database answers again after %d failed tries",
                self._who,
                failures,
                extra={"action": "database_back"},
            )


def _first_line(error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    lines = str(original).splitlines() or [""]
    return f"{type(original).__name__}: {lines[0]}"[:300]
