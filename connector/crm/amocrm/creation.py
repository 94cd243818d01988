"""All deals of an account by the time of their creation, several pages in flight.

Must not know what becomes of them. amoCRM's lists page by offset: while they are read, a deal that goes away
moves all rows behind it, and a page that is fetched later, or at the same time, begins one row too far. So:

- The order is that of creation, which no change of a deal alters.
- A list begins where the one before ended (`filter[created_at][from]`); its pages are asked for in waves.
- The pages of a wave overlap by a few rows, for each is asked for with a limit of its own. A page whose first
  row was created before the last one of the page before leaves no gap, whatever the order of rows within a
  second; where that does not hold, rows went away meanwhile, and a new list begins at the last certain row.

Ranges of ids would do better, but the documentation offers ranges of times only.
Source: amoCRM developers' docs, pages «Сделки», «Фильтрация».
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from connector.crm.ahead import in_order
from connector.crm.amocrm.api import PAGE, AmoApi, Params, Reader
from connector.crm.amocrm.walks import AHEAD, unix
from connector.crm.density import Density
from connector.domain import Deal

#: Pages of the longest wave: more would overlap by more rows, fewer would wait for their last one more often.
LONGEST_WAVE = 8

#: Rows that neighbours have in common at least.
OVERLAP = 4


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[Deal]
    has_more: bool

    @property
    def first(self) -> int:
        return unix(self.rows[0].created_at)

    @property
    def last(self) -> int:
        return unix(self.rows[-1].created_at)

    def follows(self, before: _Page) -> bool:
        """Whether no row can stand between the two."""
        return bool(self.rows) and self.first < before.last


class CreationWalk:
    """The deals that pass `filters`, oldest first, each once. `until`: when the reading begins."""

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
        page = self._page(since, PAGE, 1)
        yield from page.rows
        if not page.has_more or not page.rows:
            return
        start, edge, count, pages = page.first, page.last, len(page.rows), 1
        known = _ids_from(edge, page.rows)
        while True:
            rest = Density(count, edge - start).rows(max(0, self._until - edge))
            pages = min(pages * 2, LONGEST_WAVE, int(rest / PAGE) + 1)
            rows: list[Deal] = []
            has_more = False
            for page in self._wave(edge, pages):
                fresh = [deal for deal in page.rows if deal.id not in known]
                yield from fresh
                known |= {deal.id for deal in fresh}
                rows += page.rows
                count, has_more = count + len(fresh), page.has_more
            if not rows or not has_more:
                return
            last = unix(rows[-1].created_at)
            if last == edge:
                yield from self._one_second(edge, known)
                edge, known = edge + 1, set()
            else:
                edge, known = last, _ids_from(last, rows)

    def _wave(self, edge: int, pages: int) -> Iterator[_Page]:
        """The pages of a list that begins at `edge`, as far as they follow one another and the list goes."""
        tasks = (partial(self._page, edge, limit, number) for number, limit in enumerate(_limits(pages), 1))
        before: _Page | None = None
        for page in in_order(tasks, ahead=AHEAD):
            if before is not None and not page.follows(before):
                return
            yield page
            if not page.has_more or not page.rows:
                return
            before = page

    def _one_second(self, second: int, known: set[str]) -> Iterator[Deal]:
        """More than a page within one second, as an import leaves it: by offset alone, in the order of ids,
        so that of all changes only a deletion could hide a row."""
        number, has_more = 1, True
        while has_more:
            params = [*self._asked(second, "id"), ("filter[created_at][to]", second + 1)]
            page = self._read_page([*params, ("limit", PAGE), ("page", number)])
            # Whether `to` is included is not said: with a second more, left out here, it does not matter.
            fresh = [deal for deal in page.rows if unix(deal.created_at) == second and deal.id not in known]
            yield from fresh
            known |= {deal.id for deal in fresh}
            number, has_more = number + 1, page.has_more

    def _page(self, edge: int | None, limit: int, number: int) -> _Page:
        return self._read_page([*self._asked(edge, "created_at"), ("limit", limit), ("page", number)])

    def _asked(self, start: int | None, order: str) -> list[tuple[str, object]]:
        asked: list[tuple[str, object]] = [*self._with, (f"order[{order}]", "asc"), *self._filters]
        return asked if start is None else [*asked, ("filter[created_at][from]", start)]

    def _read_page(self, params: Params) -> _Page:
        return _Page(*self._api.page("leads", "leads", self._read, params))


def _limits(pages: int) -> list[int]:
    """How long each page of a wave is, so that neighbours overlap: page n of limit L ends at row n × L."""
    limits = [PAGE]
    while len(limits) < pages:
        end = limits[-1] * len(limits)
        limits.append((end - OVERLAP) // len(limits))
    return limits


def _ids_from(second: int, rows: list[Deal]) -> set[str]:
    return {deal.id for deal in rows if unix(deal.created_at) >= second}
