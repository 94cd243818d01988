"""The connector without the CRMs' rate limits, which are off in the sandbox too: no test waits for them.

`python -m tests.e2e.unlimited worker` is `connector worker` in all else.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from connector import app, cli
from connector.crm.http import RateLimiter


class NoLimit:
    """Lets every request go at once."""

    is_kept = False

    def acquire(
        self, key: str, *, rate_per_s: float, burst: int, max_wait: timedelta, spare: int = 0
    ) -> timedelta:
        return timedelta(0)

    def push_back(self, key: str, until: datetime) -> None:
        return None


def _no_limit(*_: object) -> RateLimiter:
    return NoLimit()


if __name__ == "__main__":
    app.SharedLimiter = _no_limit  # type: ignore[assignment,misc]
    cli.main()
