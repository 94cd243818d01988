"""All deals of an account by the time of their creation, several pages in flight.

Must not know what becomes of them. amoCRM's lists page by offset: while they are read, a deal that changes or
goes away moves all rows behind it, and a page that is fetched later begins one row too far. So no page but
the first of a list is ever asked for: each request is a list of its own, the deals created in one span of
time. The time of a creation never changes, whatever happens to the deal meanwhile, so every deal has one span
in which it is found; what comes in behind the end is found by the last span, which has none.
Ranges of ids would do better, but the documentation offers ranges of times only.
Source: amoCRM developers' docs, pages «Сделки», «Фильтрация».
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from connector.crm.ahead import in_order
from connector.crm.amocrm.api import PAGE, AmoApi, Params, Reader
from connector.crm.amocrm.walks import AHEAD, unix
from connector.crm.density import Density
from connector.domain import Deal

#: Rows a span is meant to hold. One that holds more than a page takes a request more than it should, one that
#: holds fewer wastes a part of its own.
WANTED = 225


@dataclass(frozen=True, slots=True)
class _Span:
    """Created from `start` on, and until `end`, both included, in whole unix seconds; None is open."""

    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class _Found:
    span: _Span
    rows: list[Deal]
    has_more: bool


class CreationWalk:
    """The deals that pass `filters`, oldest first, each once."""

    def __init__(
        self, api: AmoApi, read: Reader[Deal], with_: Params, filters: Params, until: datetime
    ) -> None:
        self._api = api
        self._read = read
        self._with = with_
        self._filters = filters
        self._until = unix(until)

    def deals(self, since: int | None = None) -> Iterator[Deal]:
        """A page at a time, of those created at or after `since` (unix). The first is asked for alone: most
        lists end there."""
        first = self._first_page(_Span(since, None))
        yield from first.rows
        if first.has_more:
            yield from self._rest(first, ahead=AHEAD)

    def _rest(self, found: _Found, ahead: int) -> Iterator[Deal]:
        """What a span holds beside the page that was found of it, by shorter spans."""
        start, edge = unix(found.rows[0].created_at), unix(found.rows[-1].created_at)
        # Of the last second the page may hold a part only; it is read again.
        known = {deal.id for deal in found.rows if unix(deal.created_at) == edge}
        if start == edge:
            yield from self._one_second(edge, known)
            edge += 1
        density = Density(len(found.rows), edge - start)
        tasks = self._tasks(edge, found.span.end, density)
        for part in in_order(tasks, ahead=ahead):
            if part.span.start is not None and part.span.end is not None:
                density.note(len(part.rows), _length(part))
            yield from (deal for deal in part.rows if deal.id not in known)
            if part.has_more:
                rest = self._rest(part, ahead=ahead)
                yield from (deal for deal in rest if deal.id not in known)

    def _tasks(self, start: int, end: int | None, density: Density) -> Iterator[Callable[[], _Found]]:
        stop = self._until if end is None else end
        while start <= stop:
            last = start + max(1, int(density.span(WANTED))) - 1
            if last >= stop:
                yield partial(self._first_page, _Span(start, end))
                return
            yield partial(self._first_page, _Span(start, last))
            start = last + 1
        if end is None:
            yield partial(self._first_page, _Span(start, None))

    def _first_page(self, span: _Span) -> _Found:
        rows, has_more = self._page(span, "created_at", 1)
        within = [deal for deal in rows if span.end is None or unix(deal.created_at) <= span.end]
        return _Found(span, within, has_more and 0 < len(within) == len(rows))

    def _one_second(self, second: int, known: set[str]) -> Iterator[Deal]:
        """More than a page within one second, as an import leaves it: by offset after all, by id, so that of
        all changes only a deletion could move a row."""
        number, has_more = 1, True
        while has_more:
            rows, has_more = self._page(_Span(second, second), "id", number)
            new = [deal for deal in rows if unix(deal.created_at) == second and deal.id not in known]
            yield from new
            known |= {deal.id for deal in new}
            number += 1

    def _page(self, span: _Span, order: str, number: int) -> tuple[list[Deal], bool]:
        params: list[tuple[str, object]] = [*self._with, (f"order[{order}]", "asc"), *self._filters]
        if span.start is not None:
            params.append(("filter[created_at][from]", span.start))
        if span.end is not None:
            # Whether `to` is included is not said: with a second more, left out above, it does not matter.
            params.append(("filter[created_at][to]", span.end + 1))
        return self._api.page("leads", "leads", self._read, [*params, ("limit", PAGE), ("page", number)])


def _length(part: _Found) -> float:
    """Seconds that the rows of this part stand for."""
    start, end = part.span.start or 0, part.span.end or 0
    if part.has_more:
        end = unix(part.rows[-1].created_at)
    return float(end - start + 1)
