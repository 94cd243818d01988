"""The answers behind the deals that were read last, so that a card need not ask for the same lead again.

Must not know what is in them. An answer belongs to one reading: it is found by the very `Deal` that was made
of it, never by an id, so that a card cannot mix two readings.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from connector.crm.wild import Wild
from connector.domain import Deal

#: Between the reading of a deal and that of its card lie a few statements of ours.
KEPT = 64


class Readings:
    """Deals with the leads they were read from, the latest `KEPT`. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Keeping the deal keeps its identity from being given to another one.
        self._kept: OrderedDict[int, tuple[Deal, Wild]] = OrderedDict()

    def keep(self, deal: Deal, lead: Wild) -> Deal:
        """Remember what `deal` was read from; returns it."""
        with self._lock:
            self._kept[id(deal)] = (deal, lead)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return deal

    def of(self, deal: Deal) -> Wild | None:
        """The lead that this very deal was read from; None when it is no longer known."""
        with self._lock:
            kept = self._kept.get(id(deal))
        return kept[1] if kept is not None and kept[0] is deal else None
