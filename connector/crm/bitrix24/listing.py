"""Long lists of Bitrix24: all rows of a method by ascending id, many pages in one request, some requests at
once.

Must not know what a row means. The ids are cut into spans, each read by a batch that is a chain: each command
asks for the ids above the last one of the page before, which the portal itself fills in
(`$result[page0][items][49][id]`). An id never changes, so a row stands in one span whatever happens to it,
and none is hidden when another one goes away.
Source: Bitrix24 REST docs, pages «Большие объёмы данных» and «Пакетные запросы».
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

from connector.clock import Clock
from connector.crm.ahead import in_order
from connector.crm.bitrix24.api import PAGE, B24Api, Params, Reader
from connector.crm.density import Density
from connector.crm.wild import Wild
from connector.errors import CrmError

T = TypeVar("T")

#: Pages of the first chain, and of the longest. 40 pages are 2,000 rows: a few megabytes in memory, four
#: seconds of the portal at its documented 0.1 s a page, and no chain grows that took long (below): twice as
#: much as its like stays far from the 60 s after which the server cuts a request. With 20,000 deals and their
#: contacts 40 pages stay within the burst that the portal allows; the 50 of a batch save two requests more
#: and cost a quarter more memory.
FIRST_CHAIN = 5
LONGEST_CHAIN = 40

#: Batches in flight. The portal takes two a second, and the time that a method may use up in ten minutes is
#: the next limit: more of them at once would only reach it sooner.
AHEAD = 2

#: How full the pages of a chain are meant to be: a row too many takes a request more, a page too few is asked
#: for in vain.
FILL = 0.94

#: After a chain that took no longer than the first, the next one may be longer; after one that took longer
#: than the second it is shorter.
QUICK = timedelta(seconds=10)
SLOW = timedelta(seconds=25)


@dataclass(frozen=True, slots=True)
class _Span:
    """Ids above `after`, up to `last` unless that is None; they should fit into `pages`."""

    after: int
    last: int | None
    pages: int


@dataclass(frozen=True, slots=True)
class _Part(Generic[T]):
    """Rows of a span with their ids. `is_end`: the span holds no more; `is_broken`: a page failed."""

    span: _Span
    rows: list[tuple[int, T]]
    is_end: bool
    is_broken: bool = False

    @property
    def reached(self) -> int:
        """Up to which id this part tells everything."""
        if self.is_end and self.span.last is not None:
            return self.span.last
        return self.rows[-1][0] if self.rows else self.span.after


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
        # Shared by the threads that read ahead: the last one to come back says how long a chain may be.
        self._pages = FIRST_CHAIN

    def rows(self, after: int = 0) -> Iterator[T]:
        """All rows above the id `after` in the order of their ids. The first page is asked for alone: most
        lists end there.

        Raises CrmError, and RetryLater when a limit is used up.
        """
        last = after
        for part in self._parts(after):
            for row_id, row in part.rows:
                if row_id <= last:
                    raise self._api.unexpected(self._method, f"row {row_id} came after {last}")
                last = row_id
                yield row

    def _parts(self, begin: int) -> Iterator[_Part[T]]:
        """The first page above the id `begin`, a first chain, then spans up to the greatest id, at last what
        came meanwhile."""
        head = self._part(_Span(begin, None, 1))
        yield head
        if head.is_end:
            return
        after, count = head.reached, len(head.rows)
        for part in self._on(head.reached, None, self._pages):
            yield part
            if part.is_end:
                return
            after, count = part.reached, count + len(part.rows)
            if not part.is_broken:
                break
        newest = self._newest()
        density = Density(count, after - head.rows[0][0] + 1)
        for part in in_order(self._tasks(after, newest, density), ahead=AHEAD):
            density.note(len(part.rows), part.reached - part.span.after)
            yield part
            if not part.is_end:
                yield from self._on(part.reached, part.span.last, 1)
        yield from self._on(max(after, newest), None, 1)

    def _tasks(self, after: int, newest: int, density: Density) -> Iterator[Callable[[], _Part[T]]]:
        while after < newest:
            left = math.ceil(density.rows(newest - after) / (PAGE * FILL))
            pages = min(self._pages, max(1, left))
            last = min(newest, after + max(1, int(density.span(pages * PAGE * FILL))))
            yield partial(self._part, _Span(after, last, pages))
            after = last

    def _on(self, after: int, last: int | None, pages: int) -> Iterator[_Part[T]]:
        """A span one request after another. A page that failed is asked for alone: so it is repeated as any
        call."""
        while True:
            part = self._part(_Span(after, last, pages))
            yield part
            if part.is_end:
                return
            after, pages = part.reached, 1 if part.is_broken else self._pages

    def _part(self, span: _Span) -> _Part[T]:
        """As many rows of the span as its pages hold."""
        began = self._clock.now()
        if span.pages == 1:
            page = self._api.call(self._method, self._params_of(span, span.after), self._read_page)
            part = _Part(span, page, is_end=len(page) < PAGE)
        else:
            part = self._chain(span)
        self._pages = _next_length(span.pages, self._pages, self._clock.now() - began)
        return part

    def _chain(self, span: _Span) -> _Part[T]:
        """The rows of several pages.

        What stands behind a page that is not full refers to nothing and means nothing, be it rows or an
        error. A page that failed for the moment ends the chain.
        """
        ends = [span.after, *(self._end_of(number) for number in range(span.pages - 1))]
        answers = self._api.batch(
            {_name(number): (self._method, self._params_of(span, end)) for number, end in enumerate(ends)},
            halt=True,
        )
        rows: list[tuple[int, T]] = []
        for number in range(span.pages):
            try:
                page = answers.take(_name(number), self._read_page)
            except CrmError as error:
                if error.kind != "retry":
                    raise
                return _Part(span, rows, is_end=False, is_broken=True)
            rows += page
            if len(page) < PAGE:
                return _Part(span, rows, is_end=True)
        return _Part(span, rows, is_end=False)

    def _newest(self) -> int:
        """The greatest id that the list has now."""
        params = {**self._params, "order": {self._key: "DESC"}, "start": -1}
        rows = self._api.call(self._method, params, self._read_page)
        return max((row_id for row_id, _ in rows), default=0)

    def _params_of(self, span: _Span, after: object) -> Params:
        given = self._params.get("filter")
        filters = dict(given) if isinstance(given, dict) else {}
        filters[f">{self._key}"] = after
        if span.last is not None:
            filters[f"<={self._key}"] = span.last
        return {**self._params, "filter": filters, "order": {self._key: "ASC"}, "start": -1}

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


def _next_length(pages: int, usual: int, took: timedelta) -> int:
    """How many pages to ask for after `pages` that took so long, where `usual` are asked for."""
    if took > SLOW:
        return max(1, pages // 2)
    if took > QUICK:
        return pages
    return max(usual, min(max(FIRST_CHAIN, pages * 2), LONGEST_CHAIN))
