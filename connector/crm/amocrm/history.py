"""Reading much of amoCRM: deals in the order of their creation, stage changes window by window.

Must not know what becomes of them. Lists page by offset, so rows that change meanwhile move: why none is
hidden by that stands at each walk.
Source: amoCRM developers' docs, pages «Сделки», «События», «Фильтрация».
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from connector.clock import Clock
from connector.crm.amocrm.api import EVENT_IDS, EVENTS_PAGE, PAGE, AmoApi, Params, Reader
from connector.crm.amocrm.creation import CreationWalk
from connector.crm.amocrm.events import TYPES, Place, StageEvent, births, changes, read_event
from connector.crm.amocrm.walks import CLOCK_SKEW, by_spans, chunks, first_moment, span, unix
from connector.crm.wild import Wild
from connector.domain import Deal, DealMark, StageChange

WITH = ("with", "contacts,loss_reason,source_id,source")

NEWEST_FIRST = (("order[updated_at]", "desc"),)

#: For a deal by itself, whose card may be wanted next.
WITH_PRODUCTS = ("with", "contacts,loss_reason,source_id,source,catalog_elements")


class History:
    """Long reads of one account. `filterable` says whether lists of deals may be filtered, a paid option."""

    def __init__(self, api: AmoApi, clock: Clock, read_deal: Reader[Deal], *, filterable: bool) -> None:
        self._api = api
        self._clock = clock
        self._read_deal = read_deal
        self._filterable = filterable

    def deals(self, updated_since: datetime | None, after: DealMark | None = None) -> Iterator[Deal]:
        """Deals changed at or after `updated_since`, or all of them, by the time of creation, each once.

        Where the account may not filter: newest change first; what changes meanwhile may come twice. `after`:
        go on behind that one; those of its very second come again.
        """
        if not self._filterable:
            return self._newest_first(updated_since, after)
        filters: Params = []
        if updated_since is not None:
            filters = [("filter[updated_at][from]", unix(updated_since))]
        until = self._clock.now() + CLOCK_SKEW
        since = unix(after.created_at) if after else None
        return CreationWalk(self._api, self._read_deal, [WITH], filters, until).deals(since)

    def deal_count(self) -> int:
        """How many deals there are, to a page: the list has no total, so its end is felt for."""
        return (self._first_page(lambda rows: not rows) - 1) * PAGE

    def stage_changes_of(self, deal_id: str, since: datetime | None) -> Iterator[StageChange]:
        """The moves of one deal, oldest first. All its events are read: its first move tells its birth."""
        events = self._events([("filter[entity][]", "lead"), ("filter[entity_id][]", deal_id)])
        for change in self._with_births(events, after=None):
            if since is None or change.at >= since:
                yield change

    def stage_changes(self, since: datetime | None) -> Iterator[StageChange]:
        """The moves of all deals at or after `since`, oldest first, a window at a time."""
        start = since or first_moment(self._api, "leads", "leads")
        if start is None:
            return

        def read(start: datetime, end: datetime) -> list[StageChange]:
            events = self._events(span("created_at", start, end))
            return self._with_births(events, after=end + timedelta(seconds=1))

        for found in by_spans(read, start, self._clock.now() + CLOCK_SKEW):
            yield from found

    def _with_births(self, events: list[StageEvent], *, after: datetime | None) -> list[StageChange]:
        """Stage changes of these events; births that these do not tell are looked up after them."""
        born = births(events)
        unknown = sorted({event.deal_id for event in events if event.after is None} - born.keys())
        if after is not None:
            for some in chunks(unknown, EVENT_IDS):
                later: list[tuple[str, object]] = [("filter[entity_id][]", deal_id) for deal_id in some]
                moves = self._events(
                    [("filter[entity][]", "lead"), *later, ("filter[created_at][from]", unix(after))]
                )
                born = {**births(moves), **born}
        never_moved = [deal_id for deal_id in unknown if deal_id not in born]
        present = self._api.by_ids("leads", "leads", never_moved, _place_of, filterable=self._filterable)
        return changes(events, {**dict(present), **born})

    def _events(self, params: Params) -> list[StageEvent]:
        types: list[tuple[str, object]] = [("filter[type][]", name) for name in TYPES]
        found = self._api.pages("events", "events", read_event, [*types, *params], size=EVENTS_PAGE)
        return list({event.id: event for event in found}.values())

    def _newest_first(self, since: datetime | None, after: DealMark | None) -> Iterator[Deal]:
        """By time of change downwards until `since`: changed rows move to the front, so none is skipped."""
        number, more = 1, True
        if after is not None:
            edge = after.updated_at
            number = self._first_page(lambda rows: not rows or rows[-1] <= edge)
        before: set[str] = set()
        while more:
            params: Params = [WITH, *NEWEST_FIRST, ("limit", PAGE), ("page", number)]
            rows, more = self._api.page("leads", "leads", self._read_deal, params)
            for deal in rows:
                if since is not None and deal.updated_at < since:
                    return
                if deal.id not in before and (after is None or deal.updated_at <= after.updated_at):
                    yield deal
            # What slips from page to page was on the page before: no need to remember more.
            before = {deal.id for deal in rows}
            number += 1

    def _first_page(self, is_beyond: Callable[[list[datetime]], bool]) -> int:
        """Number of the first page, newest changes first, of which `is_beyond` is true; each page is the
        moments of change of its rows. Some twenty requests, whatever the number of deals."""
        low, high = 0, 1  # low is not beyond, high may be

        def beyond(number: int) -> bool:
            params: Params = [*NEWEST_FIRST, ("limit", PAGE), ("page", number)]
            rows, _ = self._api.page("leads", "leads", lambda item: item["updated_at"].unix(), params)
            return is_beyond(rows)

        while not beyond(high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if beyond(middle) else (middle, high)
        return high


def _place_of(item: Wild) -> tuple[str, Place]:
    return item["id"].id(), (item["pipeline_id"].id(), item["status_id"].id())
