"""How long a span of time, or of ids, holds about so many rows. Must not know what they are."""

from __future__ import annotations

import math

#: A quiet stretch makes the next spans longer, but not at once: it tells little of what follows.
MOST_THINNING = 16.0

#: From this on, more rows than expected are no chance, and the last figure alone counts.
SUDDEN = 2.0


class Density:
    """Rows a unit of span, as the last readings showed. For one thread."""

    def __init__(self, rows: int, span: float) -> None:
        self._rate = max(rows, 1) / max(span, 1.0)

    def span(self, rows: float) -> float:
        """The span that should hold so many rows."""
        return rows / self._rate

    def rows(self, span: float) -> float:
        """How many rows a span of that length should hold."""
        return span * self._rate

    def note(self, rows: int, span: float) -> None:
        """Take over that a span of that length held so many rows."""
        found = rows / max(span, 1.0)
        if found > self._rate * SUDDEN:
            self._rate = found
        else:
            self._rate = max(math.sqrt(found * self._rate), self._rate / MOST_THINNING)
