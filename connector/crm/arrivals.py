"""When the requests of one client reached the CRM, as far as their answers tell, and whether one more fits.

The limiter spaces what leaves. A busy network or machine may let one request arrive late and the next ones in
time, nearer to it than they left: where a CRM counts to the millisecond, that is one too many. Must not know
any CRM, nor how requests are made.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.clock import Clock

#: An answer that comes later than usual by more than this was late on the CRM's side, not on its way there.
MOST_LATE = timedelta(milliseconds=500)

#: How many times of the same call say what is usual.
REMEMBERED = 32


@dataclass(slots=True)
class Passage:
    """One request on its way."""

    call: str
    sent_at: datetime
    answered_at: datetime | None = None


class Arrivals:
    """At most `most` requests within a `window`, by the latest moments at which they can have arrived.

    Safe to share between threads.
    """

    def __init__(self, most: int, window: timedelta, clock: Clock) -> None:
        self._most = most
        self._window = window
        self._clock = clock
        self._lock = threading.Lock()
        self._passages: deque[Passage] = deque(maxlen=2 * most)
        self._took: defaultdict[str, deque[timedelta]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def enter(self, call: str) -> Passage | timedelta:
        """The request may leave now: its passage. Else how long to wait before asking again."""
        with self._lock:
            now = self._clock.now()
            arrived = sorted(self._arrived_at(passage, now) for passage in self._passages)
            within = [at for at in arrived if at + self._window > now]
            if len(within) >= self._most:
                return within[-self._most] + self._window - now
            passage = Passage(call, now)
            self._passages.append(passage)
            return passage

    def leave(self, passage: Passage) -> None:
        """The answer is here, whatever it is."""
        with self._lock:
            passage.answered_at = self._clock.now()
            self._took[passage.call].append(passage.answered_at - passage.sent_at)

    def _arrived_at(self, passage: Passage, now: datetime) -> datetime:
        """Not later than this: the quickest of such calls tells what the CRM itself takes at least."""
        took = self._took.get(passage.call)
        if not took:
            return passage.sent_at
        late = (passage.answered_at or now) - passage.sent_at - min(took)
        return passage.sent_at + min(max(late, timedelta()), MOST_LATE)
