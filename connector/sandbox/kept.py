"""What of a running sandbox outlives it: finds the state of its parts, takes it out and puts it back.

A part is an object of the sandbox that another part holds as an attribute: a world, an OAuth server, a queue
of webhooks. Its state are its attributes that are plain data; locks, threads, sessions and functions are made
anew by the constructors. `Tracked` and `Log` attributes, which grow large, are left to the journal, entry by
entry. Attributes
named in a class's `NOT_KEPT` end with the process. A part that needs more care has `kept_state()` and
`put_back(state)`. Knows no dialect: what a new part
keeps in plain attributes is found without a word here.
"""

from __future__ import annotations

import copyreg
import io
import itertools
import pickle
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields
from datetime import date, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any

from connector.sandbox.state import Company, Contact, Deal, Note, ProductRow, Requisites, Task
from connector.sandbox.table import Log, Tracked

_PLAIN = (bool, int, float, str, bytes, type(None), date, timedelta, Decimal, tuple, frozenset)
_CONTAINERS = (dict, list, set, deque, itertools.count, random.Random)
#: Addresses of the running process, which the next one has of its own.
_OF_THE_PROCESS = frozenset({"base_url"})
#: What a journal may bring to life beside the sandbox's own classes: opening one runs no foreign code.
_KNOWN = {
    ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "getattr"), ("builtins", "bytearray"),
    ("collections", "deque"), ("collections", "OrderedDict"), ("collections", "defaultdict"),
    ("collections", "Counter"), ("builtins", "dict"), ("builtins", "list"), ("builtins", "int"),
    ("datetime", "datetime"), ("datetime", "date"), ("datetime", "timedelta"), ("datetime", "timezone"),
    ("decimal", "Decimal"), ("itertools", "count"), ("random", "Random"), ("copyreg", "__newobj_ex__"),
    ("copyreg", "_reconstructor"), ("builtins", "object"), ("zoneinfo", "ZoneInfo._unpickle"),
}  # fmt: skip


#: Rows of large tables, made again by position: a field is only ever added at the end, with a default.
_ROWS = (Company, Contact, Deal, Note, ProductRow, Requisites, Task)


class Parts:
    """The parts below some roots by path. `passing` are parts whose state ends with the process."""

    def __init__(self, roots: Mapping[str, Any], *, passing: Collection[Any] = ()) -> None:
        self._skipped = {id(part) for part in passing}
        self._by_name: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        #: Names of the small attributes of a part and of the large ones, looked up once.
        self._small: dict[str, list[str]] = {}
        self._large: list[tuple[str, Any, str]] = []
        for name, root in roots.items():
            self._meet(name, root)
        for name, part in self._by_name.items():
            self._look_at(name, part)
        #: How to write what is no plain data, by its type: what the C pickler asks without calling Python.
        self._reducers: dict[type[Any], Callable[[Any], Any]] = {
            **copyreg.dispatch_table,
            **{cls: _as_call(cls) for cls in _ROWS},
            **{type(part): self._reduce for part in self._by_name.values()},
        }

    def names(self) -> list[str]:
        return list(self._by_name)

    def large(self) -> Iterator[tuple[str, Tracked[Any, Any] | Log[Any]]]:
        """The attributes that are kept entry by entry, by `part:attribute`."""
        for name, part, attribute in self._large:
            yield name, getattr(part, attribute)

    def freeze(self, name: str) -> bytes:
        """The small state of one part. Raises TypeError, with the part's name, for what cannot be kept."""
        part = self._by_name[name]
        try:
            if hasattr(part, "kept_state"):
                return self.dump(part.kept_state())
            # A thread, for one, stands where nothing was before the start.
            values = ((attribute, getattr(part, attribute)) for attribute in self._small[name])
            return self.dump({attribute: value for attribute, value in values if _is_data(value)})
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(f"{name} cannot be kept: {error}") from error

    def thaw(self, name: str, frozen: bytes) -> None:
        """Put the small state of a part back; a part that is no more is passed over."""
        part = self._by_name.get(name)
        if part is None:
            return
        state = self.load(frozen)
        if hasattr(part, "put_back"):
            part.put_back(state)
            return
        for attribute, value in state.items():
            if hasattr(part, attribute):
                object.__setattr__(part, attribute, value)

    def dump(self, value: Any) -> bytes:
        out = io.BytesIO()
        pickler = pickle.Pickler(out, protocol=5)
        pickler.dispatch_table = self._reducers
        pickler.dump(value)
        return out.getvalue()

    def load(self, data: bytes) -> Any:
        return _Unpickler(io.BytesIO(data), self._by_name).load()

    def _reduce(self, obj: Any) -> Any:
        """A part is written as its name; another object of such a type as any object."""
        name = self._names.get(id(obj))
        return obj.__reduce_ex__(5) if name is None else (_part, (name,))

    def _look_at(self, name: str, part: Any) -> None:
        passing = _OF_THE_PROCESS | getattr(part, "NOT_KEPT", frozenset())
        small = self._small[name] = []
        for attribute, value in _attributes(part):
            if isinstance(value, (Tracked, Log)):
                self._large.append((f"{name}:{attribute}", part, attribute))
            elif attribute not in passing and _is_data(value):
                small.append(attribute)

    def _meet(self, name: str, part: Any) -> None:
        if id(part) in self._names or id(part) in self._skipped:
            return
        self._by_name[name] = part
        self._names[id(part)] = name
        for attribute, value in _attributes(part):
            if type(value).__module__.startswith("connector.sandbox.") and not isinstance(
                value, (Tracked, Log)
            ):
                self._meet(f"{name}.{attribute}", value)


def _attributes(part: Any) -> Iterator[tuple[str, Any]]:
    names = [slot for cls in type(part).__mro__ for slot in getattr(cls, "__slots__", ())]
    for name in [*names, *getattr(part, "__dict__", ())]:
        if hasattr(part, name) and name not in ("__dict__", "__weakref__"):
            yield name, getattr(part, name)


def _is_data(value: Any) -> bool:
    if isinstance(value, (list, dict)) and value:
        # Listeners and handlers: functions belong to the process.
        first = next(iter(value.values() if isinstance(value, dict) else value))
        return not callable(first)
    return isinstance(value, (*_PLAIN, *_CONTAINERS, Counter, OrderedDict, defaultdict))


def _part(name: str) -> Any:
    """Stands in a pickle for a part; `_Unpickler` puts the part of that name there."""
    raise pickle.UnpicklingError(f"part {name} outside of a journal")


def _as_call(cls: type[Any]) -> Callable[[Any], tuple[type[Any], tuple[Any, ...]]]:
    """How a row is written: as the call that makes it, which is quicker and smaller than its attributes."""
    values = attrgetter(*(each.name for each in fields(cls)))
    return lambda row: (cls, values(row))


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: io.BytesIO, parts: Mapping[str, Any]) -> None:
        super().__init__(data)
        self._parts = parts

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, _part.__name__):
            return self._parts.__getitem__
        if module.startswith("connector.sandbox.") or (module, name) in _KNOWN:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not of the sandbox")
