"""What a list found, kept while nothing changes: turning its pages does not search again.

Knows no dialect; the key says everything that the rows depend on.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connector.sandbox.state import Portal

#: Lists that clients page through at one time.
KEPT = 16


class Queries:
    """Rows by query, of one portal; thread-safe. Any change of the portal makes all of them stale."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._lock = threading.Lock()
        #: How often something changed that the revision does not tell.
        self.forgotten = 0
        self._found: OrderedDict[Hashable, tuple[int, Sequence[Any]]] = OrderedDict()

    def rows(self, key: Hashable, search: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """What `search` gives, or gave for the same key and revision. Not to be changed."""
        revision = self._portal.revision
        with self._lock:
            kept = self._found.get(key)
            if kept is not None and kept[0] == revision:
                self._found.move_to_end(key)
                return kept[1]
        found = search()
        with self._lock:
            self._found[key] = (revision, found)
            self._found.move_to_end(key)
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
        return found

    def forget(self) -> None:
        """Something changed that the portal's revision does not tell."""
        with self._lock:
            self.forgotten += 1
            self._found.clear()
