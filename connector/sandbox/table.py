"""A table of entities by id that knows the order of its ids and what was written since last asked.

A plain dictionary to those who read it. Rows are replaced, not changed in place; whoever does change one in
place calls `touch`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

V = TypeVar("V")


class Table(dict[int, V]):
    """Not thread-safe by itself: written under the portal's lock."""

    # The mutators of a dictionary that must all pass through __setitem__ and __delitem__ below.
    update = MutableMapping.update
    popitem = MutableMapping.popitem
    clear = MutableMapping.clear
    setdefault = MutableMapping.setdefault

    def __init__(self, rows: Mapping[int, V] | Iterable[tuple[int, V]] = ()) -> None:
        super().__init__(rows)
        self._ids: list[int] = []
        self._rows: list[V] = []
        self._is_stale = True
        #: Ids written or removed, while somebody keeps a journal.
        self.written: set[int] | None = None

    def __setitem__(self, key: int, value: V) -> None:
        if not self._is_stale:
            if key in self:
                self._rows[bisect_left(self._ids, key)] = value
            elif not self._ids or key > self._ids[-1]:
                self._ids.append(key)
                self._rows.append(value)
            else:
                self._is_stale = True
        super().__setitem__(key, value)
        self.touch(key)

    def __delitem__(self, key: int) -> None:
        super().__delitem__(key)
        if not self._is_stale:
            place = bisect_left(self._ids, key)
            del self._ids[place], self._rows[place]
        self.touch(key)

    def pop(self, key: int, *default: Any) -> Any:
        if key not in self and default:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def __ior__(self, other: Any) -> Table[V]:  # type: ignore[override,misc]
        self.update(other)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Table, (dict(self),)

    def touch(self, key: int) -> None:
        """That row was written, or changed in place."""
        if self.written is not None:
            self.written.add(key)

    def rows(self) -> list[V]:
        """All rows in the order of their ids; a list of the caller's own."""
        if self._is_stale:
            self._ids = sorted(self)
            self._rows = [self[key] for key in self._ids]
            self._is_stale = False
        return self._rows.copy()
