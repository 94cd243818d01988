"""What stands before every request: the rate limit with its block.

Knows clients only as keys. Source: reference 2.1 (7 a second an integration, 50 an account, HTML bodies, a
block after repeated abuse); how a second is counted is unknown, so `Switches.rate_window` has all three ways.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from connector.sandbox.amocrm.switches import RateWindow, Switches
from connector.sandbox.amocrm.wire import Reply, html, problem

ABUSE_WINDOW_S = 60.0
#: Stands for the account as a whole among the clients.
_ACCOUNT = "*"


class _Window(Protocol):
    def take(self, now: float, rate: int, *, refused_count: bool) -> bool:
        """Let one request in at `now` seconds; False when `rate` a second is used up."""
        ...


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float

    def take(self, now: float, rate: int, *, refused_count: bool) -> bool:
        self.tokens = min(rate, self.tokens + (now - self.at) * rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return True
        if refused_count:
            self.tokens = max(-float(rate), self.tokens - 1)
        return False


@dataclass(slots=True)
class _Sliding:
    taken_at: deque[float] = field(default_factory=deque)

    def take(self, now: float, rate: int, *, refused_count: bool) -> bool:
        while self.taken_at and self.taken_at[0] <= now - 1:
            self.taken_at.popleft()
        is_free = len(self.taken_at) < rate
        if is_free or refused_count:
            self.taken_at.append(now)
        return is_free


@dataclass(slots=True)
class _Fixed:
    second: int = 0
    taken: int = 0

    def take(self, now: float, rate: int, *, refused_count: bool) -> bool:
        if self.second != math.floor(now):
            self.second, self.taken = math.floor(now), 0
        # A refusal changes nothing here: the next second starts at none anyway.
        self.taken += 1
        return self.taken <= rate


@dataclass(slots=True)
class _Abuse:
    refused_at: deque[float] = field(default_factory=deque)
    blocked_until: float = 0.0


class RateGate:
    """Counts requests by client and over the account; too many refusals close the gate for a while.

    `monotonic` is seconds that only grow; tests hand in their own. The numbers come from `switches`.
    """

    def __init__(self, monotonic: Callable[[], float], switches: Switches) -> None:
        self._monotonic = monotonic
        self._switches = switches
        self._windows: dict[tuple[str, RateWindow], _Window] = {}
        self._abuse: dict[str, _Abuse] = {}
        self._lock = threading.Lock()
        #: How many requests were let in and refused so far; benchmarks and tests look at it.
        self.let_in = 0
        self.refused = 0

    def refusal(self, client: str) -> Reply | None:
        """The answer that a client gets instead of its request; None lets the request in."""
        switches = self._switches
        with self._lock:
            now = self._monotonic()
            abuse = self._abuse.setdefault(client, _Abuse())
            if now < abuse.blocked_until:
                self.refused += 1
                return html(403, "Forbidden")
            if self._take(client, now, switches.rate_per_s) and self._take(
                _ACCOUNT, now, switches.account_rate_per_s
            ):
                self.let_in += 1
                return None
            self.refused += 1
            return self._refuse(abuse, now)

    def is_blocked(self, client: str) -> bool:
        """Whether a client is shut out altogether; the OAuth address looks at this only."""
        with self._lock:
            abuse = self._abuse.get(client)
            return abuse is not None and self._monotonic() < abuse.blocked_until

    def unblock(self) -> None:
        """What a letter to support does: every client may come again."""
        with self._lock:
            self._abuse.clear()

    def _take(self, client: str, now: float, rate: int) -> bool:
        kind = self._switches.rate_window
        window = self._windows.get((client, kind))
        if window is None:
            window = self._windows[client, kind] = _new_window(kind, rate, now)
        return window.take(now, rate, refused_count=self._switches.refused_requests_count)

    def _refuse(self, abuse: _Abuse, now: float) -> Reply:
        abuse.refused_at.append(now)
        while abuse.refused_at[0] < now - ABUSE_WINDOW_S:
            abuse.refused_at.popleft()
        if len(abuse.refused_at) >= self._switches.block_after:
            abuse.blocked_until = now + self._switches.block_s
            abuse.refused_at.clear()
            return html(403, "Forbidden")
        return too_many(self._switches)


def too_many(switches: Switches) -> Reply:
    """The 429 as the switches word it."""
    if switches.too_many_body == "json":
        reply = problem(429, "Too many requests")
    elif switches.too_many_body == "plain":
        reply = Reply(429, b"Too Many Requests", "text/plain; charset=utf-8")
    else:
        reply = html(429, "Too Many Requests")
    if switches.retry_after_s is None:
        return reply
    return Reply(reply.status, reply.body, reply.content_type, {"Retry-After": str(switches.retry_after_s)})


def _new_window(kind: RateWindow, rate: int, now: float) -> _Window:
    if kind == "bucket":
        return _Bucket(rate, now)
    return _Sliding() if kind == "sliding" else _Fixed()
