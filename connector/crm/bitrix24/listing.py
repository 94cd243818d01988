"""Long lists of Bitrix24: all rows of a method by ascending id, many pages in one request.

Must not know what a row means. A batch is a chain: each command asks for the ids above the last one of the
page before, which the portal itself fills in (`$result[page0][items][49][id]`).
Source: Bitrix24 REST docs, pages «Большие объёмы данных» and «Пакетные запросы».
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from connector.clock import Clock
from connector.crm.bitrix24.api import PAGE, B24Api, Params, Reader
from connector.crm.wild import Wild
from connector.errors import CrmError

T = TypeVar("T")

#: Pages of the first chain, and of the longest. 20 pages are 1,000 rows: a few megabytes in memory, two
#: seconds of the portal at its documented 0.1 s a page. The 50 that a batch may hold would come close to the
#: 60 s after which the server cuts a request, and cost up to 49 vain commands behind the end of the list.
FIRST_CHAIN = 5
LONGEST_CHAIN = 20

#: After a chain that took no longer than the first, the next one may be longer; after one that took longer
#: than the second it is shorter.
QUICK = timedelta(seconds=10)
SLOW = timedelta(seconds=25)


@dataclass(frozen=True, slots=True)
class _Part(Generic[T]):
    """Rows with their ids. `is_end`: nothing follows them; `is_broken`: a page of the chain failed."""

    rows: list[tuple[int, T]]
    is_end: bool
    is_broken: bool = False


class LongList(Generic[T]):
    """The list of `method` with `params`: no counting, no offset that could slip.

    `place` is the way to the list in the result, `key` how this method spells the id, in filter and rows
    alike.
    """

    def __init__(
        self,
        api: B24Api,
        clock: Clock,
        method: str,
        params: Params,
        read: Reader[T],
        *,
        key: str,
        place: Sequence[str] = ("items",),
    ) -> None:
        self._api = api
        self._clock = clock
        self._method = method
        self._params = params
        self._read = read
        self._key = key
        self._place = place

    def rows(self) -> Iterator[T]:
        """All rows in the order of their ids. The first page is asked for alone: most lists end there.

        Raises CrmError, and RetryLater when a limit is used up.
        """
        last, pages = 0, 1
        while True:
            began = self._clock.now()
            part = self._page(last) if pages == 1 else self._chain(last, pages)
            pages = 1 if part.is_broken else _next_length(pages, self._clock.now() - began)
            for row_id, row in part.rows:
                if row_id <= last:
                    raise self._api.unexpected(self._method, f"row {row_id} came after {last}")
                last = row_id
                yield row
            if part.is_end:
                return

    def _page(self, last: int) -> _Part[T]:
        rows = self._api.call(self._method, self._params_after(last), self._read_page)
        return _Part(rows, is_end=len(rows) < PAGE)

    def _chain(self, last: int, pages: int) -> _Part[T]:
        """The rows of several pages.

        What stands behind a page that is not full refers to nothing and means nothing, be it rows or an
        error. A page that failed for the moment ends the chain: asked for alone, it is repeated as any call.
        """
        ends = [last, *(self._end_of(number) for number in range(pages - 1))]
        answers = self._api.batch(
            {_name(number): (self._method, self._params_after(end)) for number, end in enumerate(ends)},
            halt=True,
        )
        rows: list[tuple[int, T]] = []
        for number in range(pages):
            try:
                page = answers.read(_name(number), self._read_page)
            except CrmError as error:
                if error.kind != "retry":
                    raise
                return _Part(rows, is_end=False, is_broken=True)
            rows += page
            if len(page) < PAGE:
                return _Part(rows, is_end=True)
        return _Part(rows, is_end=False)

    def _params_after(self, last: object) -> Params:
        given = self._params.get("filter")
        filters = dict(given) if isinstance(given, dict) else {}
        return {
            **self._params,
            "filter": {**filters, f">{self._key}": last},
            "order": {self._key: "ASC"},
            "start": -1,
        }

    def _end_of(self, number: int) -> str:
        """A reference to the last id of a full page, as the portal resolves it."""
        way = "".join(f"[{step}]" for step in (_name(number), *self._place, PAGE - 1, self._key))
        return f"$result{way}"

    def _read_page(self, result: Wild) -> list[tuple[int, T]]:
        for step in self._place:
            result = result[step]
        return [(item[self._key].int(), self._read(item)) for item in result.each()]


def _name(number: int) -> str:
    return f"page{number}"


def _next_length(pages: int, took: timedelta) -> int:
    """How many pages to ask for after `pages` that took so long."""
    if took > SLOW:
        return max(1, pages // 2)
    if took > QUICK:
        return pages
    return min(max(FIRST_CHAIN, pages * 2), LONGEST_CHAIN)
