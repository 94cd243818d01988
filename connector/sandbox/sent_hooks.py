"""The webhooks that have left lately, byte for byte, so that an old one can be sent once more.

Knows no CRM: the dialects hand in what they posted.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

from connector.sandbox.moving_clock import MovingClock

REMEMBERED = 1000
#: What a receiver gets for an answer to a repeated webhook, seconds.
ANSWER_WITHIN_S = 5.0


@dataclass(slots=True)
class SentHook:
    """One delivery. `status` is the receiver's answer to the last try, 0 for none."""

    id: int
    crm: str
    event: str
    url: str
    at: datetime
    body: bytes = field(repr=False)
    headers: Mapping[str, str | None] = field(repr=False)
    status: int = 0
    repeats: int = 0

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "crm": self.crm,
            "event": self.event,
            "url": self.url.split("?")[0],
            "at": self.at.isoformat(),
            "status": self.status,
            "repeats": self.repeats,
        }


class SentHooks:
    """The last thousand; thread-safe."""

    def __init__(self, clock: MovingClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._hooks: deque[SentHook] = deque(maxlen=REMEMBERED)

    def add(
        self, crm: str, event: str, url: str, body: bytes, headers: Mapping[str, str | None], status: int
    ) -> None:
        with self._lock:
            self._hooks.append(
                SentHook(next(self._numbers), crm, event, url, self._clock.now(), body, dict(headers), status)
            )

    def newest(self, count: int, crm: str = "") -> list[SentHook]:
        """The last ones of a CRM, or of both, the newest first."""
        with self._lock:
            return [hook for hook in reversed(self._hooks) if crm in ("", hook.crm)][:count]

    def find(self, hook_id: int) -> SentHook | None:
        with self._lock:
            return next((hook for hook in self._hooks if hook.id == hook_id), None)

    def repeat(self, hook: SentHook) -> int:
        """Post the same bytes to the same address now; the receiver's answer, 0 for none."""
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    hook.url,
                    data=hook.body,
                    headers=hook.headers,
                    timeout=ANSWER_WITHIN_S,
                    allow_redirects=False,
                )
            status = answer.status_code
        except requests.RequestException:
            status = 0
        with self._lock:
            hook.repeats += 1
            hook.status = status
        return status
