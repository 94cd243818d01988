"""The two limits of Bitrix24: the leaky bucket of requests and the operating time of a method.

Pure arithmetic over a moment that is handed in. Source: reference section 3.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

#: All plans but Enterprise: two requests leak out a second, fifty fit in.
LEAK_PER_S: Final = 2.0
THRESHOLD: Final = 50.0
ENTERPRISE_LEAK_PER_S: Final = 5.0
ENTERPRISE_THRESHOLD: Final = 250.0

#: Seconds of execution that one method may use up in ten minutes.
OPERATING_LIMIT_S: Final = 480.0
_WINDOW_S: Final = 600
_BUCKET_S: Final = 60

OperatingKey = tuple[str, str, str]


class LeakyBucket:
    """Requests of one source address; thread-safe."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, datetime]] = {}
        self._lock = threading.Lock()

    def admit(
        self, source: str, now: datetime, *, refused_count: bool = True, enterprise: bool = False
    ) -> bool:
        """Whether the request fits. `refused_count`: a refused one fills the bucket too (unverified)."""
        leak = ENTERPRISE_LEAK_PER_S if enterprise else LEAK_PER_S
        with self._lock:
            level, last = self._levels.get(source, (0.0, now))
            level = max(0.0, level - leak * max(0.0, (now - last).total_seconds())) + 1
            fits = level <= (ENTERPRISE_THRESHOLD if enterprise else THRESHOLD)
            self._levels[source] = (level if fits or refused_count else level - 1, now)
            return fits


@dataclass(slots=True)
class _Minute:
    first_write: float
    spent_s: float = 0.0


@dataclass(slots=True)
class OperatingBook:
    """Execution time by (kind of auth, application or webhook, method) in ten buckets of a minute."""

    limit_s: float = OPERATING_LIMIT_S
    _minutes: dict[OperatingKey, dict[int, _Minute]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_blocked(self, key: OperatingKey, now: datetime) -> bool:
        """Checked before a call: the call that crosses the line still finishes."""
        return self.state(key, now)[0] > self.limit_s

    def add(self, key: OperatingKey, now: datetime, spent_s: float) -> None:
        with self._lock:
            minutes = self._minutes.setdefault(key, {})
            number = int(now.timestamp() // _BUCKET_S)
            minutes.setdefault(number, _Minute(now.timestamp())).spent_s += spent_s

    def state(self, key: OperatingKey, now: datetime) -> tuple[float, int]:
        """Seconds used in the window, and the unix time when the oldest bucket drops out of it."""
        with self._lock:
            minutes = self._minutes.setdefault(key, {})
            stamp = now.timestamp()
            for number in [n for n, minute in minutes.items() if minute.first_write + _WINDOW_S <= stamp]:
                del minutes[number]
            oldest = min((minute.first_write for minute in minutes.values()), default=stamp)
            return sum(minute.spent_s for minute in minutes.values()), int(oldest + _WINDOW_S)
