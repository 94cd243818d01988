"""Render processes of the kit at work: when people change the kit, another pool takes over."""

from __future__ import annotations

import threading
import weakref

from connector.documents.kit import Kit
from connector.documents.render import RenderPool


class RenderPools:
    """The pool of the newest kit, with the same number of processes for every kit. Safe from many threads."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._newest: tuple[Kit, RenderPool] | None = None
        #: Retired ones too, as long as somebody still makes a document by an older kit.
        self._all: weakref.WeakSet[RenderPool] = weakref.WeakSet()

    def of(self, kit: Kit) -> RenderPool:
        """The pool that renders by `kit`; the pool of another kit finishes what it has begun."""
        with self._lock:
            if self._newest is not None and self._newest[0] is kit:
                return self._newest[1]
            pool = RenderPool(kit, self._workers)
            before, self._newest = self._newest, (kit, pool)
            self._all.add(pool)
        if before is not None:
            before[1].retire()
        return pool

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            for pool in list(self._all):
                pool.close()
