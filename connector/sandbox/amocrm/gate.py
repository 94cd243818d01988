"""What stands before every request: the rate limit with its block.

Knows tokens only as keys. Source: reference 2.1 (7 a second, HTML bodies, a block after repeated abuse);
the bucket and the numbers of the block are this sandbox's choice.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from connector.sandbox.amocrm.wire import Reply, html


@dataclass(slots=True)
class _Client:
    tokens: float
    at: float
    refused_at: deque[float] = field(default_factory=deque)
    blocked_until: float = 0.0


class RateGate:
    """A token bucket a client, `rate_per_s` with `burst`; too many refusals close the gate for a while.

    `monotonic` is seconds that only grow; tests hand in their own.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        rate_per_s: float = 7.0,
        burst: int = 7,
        block_after: int = 100,
        abuse_window_s: float = 60.0,
        block_s: float = 300.0,
    ) -> None:
        self._monotonic = monotonic
        self._rate, self._burst = rate_per_s, burst
        self._block_after, self._abuse_window_s, self._block_s = block_after, abuse_window_s, block_s
        self._clients: dict[str, _Client] = {}
        self._lock = threading.Lock()

    def refusal(self, client: str) -> Reply | None:
        """The answer that a client gets instead of its request; None lets the request in."""
        with self._lock:
            now = self._monotonic()
            state = self._clients.setdefault(client, _Client(self._burst, now))
            if now < state.blocked_until:
                return html(403, "Forbidden")
            state.tokens = min(self._burst, state.tokens + (now - state.at) * self._rate)
            state.at = now
            if state.tokens >= 1:
                state.tokens -= 1
                return None
            return self._refuse(state, now)

    def is_blocked(self, client: str) -> bool:
        """Whether a client is shut out altogether; the OAuth address looks at this only."""
        with self._lock:
            state = self._clients.get(client)
            return state is not None and self._monotonic() < state.blocked_until

    def _refuse(self, state: _Client, now: float) -> Reply:
        state.refused_at.append(now)
        while state.refused_at[0] < now - self._abuse_window_s:
            state.refused_at.popleft()
        if len(state.refused_at) >= self._block_after:
            state.blocked_until = now + self._block_s
            state.refused_at.clear()
            state.tokens = self._burst
            return html(403, "Forbidden")
        return html(429, "Too Many Requests")
