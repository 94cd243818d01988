"""How often one visitor may knock, in the memory of this process: enough against floods and guessing.

A secret word of 160 bits cannot be guessed at any rate; what is kept away is the load.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from flask import Request

#: Visitors remembered at once; those seen longest ago are forgotten first.
MAX_REMEMBERED = 10_000

_NEAR = ("127.", "::1", "10.", "192.168.", "172.", "fd")


class Throttle:
    """`burst` knocks at once, then `per_minute`, for each key."""

    def __init__(self, now: Callable[[], datetime], *, burst: int, per_minute: int) -> None:
        self._now = now
        self._burst = burst
        self._rate = per_minute / 60
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def admits(self, key: str) -> bool:
        """Whether this knock is within the limit; it is counted if so."""
        moment = self._now().timestamp()
        with self._lock:
            left, since = self._seen.pop(key, (float(self._burst), moment))
            left = min(float(self._burst), left + max(0.0, moment - since) * self._rate)
            admitted = left >= 1
            self._seen[key] = (left - 1 if admitted else left, moment)
            while len(self._seen) > MAX_REMEMBERED:
                self._seen.popitem(last=False)
        return admitted


def visitor(request: Request) -> str:
    """Who knocks, for a `Throttle` only: his address, or what a proxy on our own network says it is.

    The last entry of X-Forwarded-For is that proxy's own word; those before it are the visitor's.
    """
    address = request.remote_addr or ""
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    return forwarded[:64] if forwarded and address.startswith(_NEAR) else address
