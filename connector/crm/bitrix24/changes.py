"""Lists of Bitrix24 in the order of change: the oldest change first, page by page.

Must not know what a row means. An offset slips when rows change while they are read, and the keyset by id is
in the order of making. So the last change read is the place to go on from: a row that changes meanwhile comes
once more, none is left out. Source: Bitrix24 REST docs, page «Особенности списочных методов».
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from connector.crm.bitrix24.api import PAGE, B24Api, Params, Reader
from connector.crm.wild import Wild

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Names:
    """How a method spells things: the way to the rows, the id and the time of change in a filter and in a
    row."""

    place: tuple[str, ...]
    id: str
    changed: str
    row_id: str
    row_changed: str


@dataclass(frozen=True, slots=True)
class _Row(Generic[T]):
    id: int
    at: datetime
    value: T


@dataclass(frozen=True, slots=True)
class ChangeList(Generic[T]):
    """The rows of `method` with `params` that changed at or after a moment."""

    api: B24Api
    method: str
    params: Params
    names: Names
    read: Reader[T]

    def since(self, moment: datetime | None) -> Iterator[tuple[datetime, T]]:
        """Each row with the moment of its change, oldest change first; all rows without `moment`.

        Raises CrmError, and RetryLater when a limit is used up.
        """
        start, known = moment, frozenset[int]()
        while True:
            rows, is_full = self._page({f">={self.names.changed}": start} if start is not None else {})
            for row in rows:
                if start is not None and row.at < start:
                    raise self.api.unexpected(self.method, f"a row of {row.at} came for {start} and later")
                if row.id not in known:
                    yield row.at, row.value
            if not is_full:
                return
            last = rows[-1].at
            if last == start:
                # More than a page in one second: an import. They are gone through by id.
                yield from self._same_second(last, known | {row.id for row in rows})
                rows, _ = self._page({f">{self.names.changed}": last})
                if not rows:
                    return
                start, known = rows[0].at, frozenset()
            else:
                start, known = last, frozenset(row.id for row in rows if row.at == last)

    def _same_second(self, moment: datetime, known: frozenset[int]) -> Iterator[tuple[datetime, T]]:
        last, is_full = 0, True
        while is_full:
            filters = {f"={self.names.changed}": moment, f">{self.names.id}": last}
            rows, is_full = self._page(filters, by_id=True)
            for row in rows:
                if row.id <= last:
                    raise self.api.unexpected(self.method, f"row {row.id} came after {last}")
                last = row.id
                if row.id not in known:
                    yield row.at, row.value

    def _page(self, filters: Mapping[str, object], *, by_id: bool = False) -> tuple[list[_Row[T]], bool]:
        """Rows, each once though a filter on bindings may repeat it; and whether more may follow."""
        names = self.names
        given = self.params.get("filter")
        told = {name: v.isoformat() if isinstance(v, datetime) else v for name, v in filters.items()}
        params = {
            **self.params,
            "filter": {**(given if isinstance(given, dict) else {}), **told},
            "order": {names.id: "ASC"} if by_id else {names.changed: "ASC", names.id: "ASC"},
            "start": -1,
        }

        def read_page(result: Wild) -> tuple[list[_Row[T]], bool]:
            for step in names.place:
                result = result[step]
            rows = [
                _Row(item[names.row_id].int(), item[names.row_changed].iso(), self.read(item))
                for item in result.each()
            ]
            return list({row.id: row for row in rows}.values()), len(rows) >= PAGE

        return self.api.call(self.method, params, read_page)
