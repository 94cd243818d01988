"""Containers of the sandbox that know what was written to them since a journal last asked.

Plain dictionaries and lists to those who read them. Values are replaced, not changed in place; whoever does
change one in place calls `touch`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Tracked(dict[K, V]):
    """A dictionary with the keys that were written or removed, while a journal is kept."""

    # The mutators of a dictionary that must all pass through __setitem__ and __delitem__ below.
    update = MutableMapping.update
    popitem = MutableMapping.popitem
    clear = MutableMapping.clear
    setdefault = MutableMapping.setdefault

    #: None: nobody keeps a journal.
    written: set[K] | None = None

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.touch(key)

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        self.touch(key)

    def pop(self, key: K, *default: Any) -> Any:
        if key not in self and default:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def __ior__(self, other: Any) -> Tracked[K, V]:  # type: ignore[override,misc]
        self.update(other)
        return self

    def touch(self, key: K) -> None:
        """That value was written, or changed in place."""
        if self.written is not None:
            self.written.add(key)


class Table(Tracked[int, V]):
    """Entities by id, which it can give in the order of their ids. Written under the portal's lock."""

    def __init__(self, rows: Mapping[int, V] | Iterable[tuple[int, V]] = ()) -> None:
        super().__init__(rows)
        self._ids: list[int] = []
        self._rows: list[V] = []
        self._is_stale = True

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

    def __delitem__(self, key: int) -> None:
        super().__delitem__(key)
        if not self._is_stale:
            place = bisect_left(self._ids, key)
            del self._ids[place], self._rows[place]

    def refill(self, rows: Mapping[int, V]) -> None:
        """Exchange all rows at once; a journal is not told."""
        dict.clear(self)
        dict.update(self, rows)
        self._is_stale = True

    def rows(self) -> list[V]:
        """All rows in the order of their ids; a list of the caller's own."""
        if self._is_stale:
            self._ids = sorted(self)
            self._rows = [self[key] for key in self._ids]
            self._is_stale = False
        return self._rows.copy()


class Log(list[V]):
    """A list that only grows at its end."""
