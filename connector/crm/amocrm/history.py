"""Reading much of amoCRM: deals in the order of their change, stage changes window by window.

Must not know what becomes of them. Lists page by offset, so rows that change meanwhile move; both walks are
ordered such that a change can show a deal twice, never hide it.
Source: amoCRM developers' docs, pages «Сделки», «События», «Фильтрация».
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from connector.clock import Clock
from connector.crm.amocrm.api import EVENTS_PAGE, PAGE, AmoApi, Params, Reader
from connector.crm.amocrm.events import TYPES, Place, StageEvent, births, changes, read_event
from connector.crm.wild import Wild
from connector.domain import Deal, StageChange

#: Events are asked for by spans of time, oldest first: the list itself has no order to choose. A span that
#: held few events is followed by a longer one, for each span costs requests of its own; one that held many by
#: a shorter one, for all of them are in memory at once.
FIRST_WINDOW = timedelta(days=7)
LONGEST_WINDOW = timedelta(days=56)
FEW_EVENTS, MANY_EVENTS = 1_000, 10_000

#: amoCRM's clock may be ahead of ours; what it wrote this second must not wait for the next run.
CLOCK_SKEW = timedelta(minutes=1)

#: The events filter takes no more ids than this.
IDS_PER_FILTER = 10

WITH = ("with", "contacts,loss_reason,source_id,source")

#: For a deal by itself, whose card may be wanted next.
WITH_PRODUCTS = ("with", "contacts,loss_reason,source_id,source,catalog_elements")


class History:
    """Long reads of one account. `filterable` says whether lists of deals may be filtered, a paid option."""

    def __init__(self, api: AmoApi, clock: Clock, read_deal: Reader[Deal], *, filterable: bool) -> None:
        self._api = api
        self._clock = clock
        self._read_deal = read_deal
        self._filterable = filterable

    def deals(self, updated_since: datetime | None) -> Iterator[Deal]:
        """Deals changed at or after `updated_since`, or all of them; a deal that changes meanwhile may come
        twice."""
        return self._oldest_first(updated_since) if self._filterable else self._newest_first(updated_since)

    def stage_changes_of(self, deal_id: str, since: datetime | None) -> Iterator[StageChange]:
        """The moves of one deal, oldest first. All its events are read: its first move tells its birth."""
        events = self._events([("filter[entity][]", "lead"), ("filter[entity_id][]", deal_id)])
        for change in self._with_births(events, after=None):
            if since is None or change.at >= since:
                yield change

    def stage_changes(self, since: datetime | None) -> Iterator[StageChange]:
        """The moves of all deals at or after `since`, oldest first, a window at a time."""
        start = since or self._first_moment()
        until = self._clock.now() + CLOCK_SKEW
        window = FIRST_WINDOW
        while start is not None and start < until:
            end = min(start + window, until)
            events = self._events(_span(start, end - timedelta(seconds=1)))
            yield from self._with_births(events, after=end)
            start, window = end, _next_window(window, len(events))

    def _with_births(self, events: list[StageEvent], *, after: datetime | None) -> list[StageChange]:
        """Stage changes of these events; births that these do not tell are looked up after them."""
        born = births(events)
        unknown = sorted({event.deal_id for event in events if event.after is None} - born.keys())
        if after is not None:
            for some in _chunks(unknown, IDS_PER_FILTER):
                later: list[tuple[str, object]] = [("filter[entity_id][]", deal_id) for deal_id in some]
                moves = self._events(
                    [("filter[entity][]", "lead"), *later, ("filter[created_at][from]", _unix(after))]
                )
                born = {**births(moves), **born}
        never_moved = [deal_id for deal_id in unknown if deal_id not in born]
        present = self._api.by_ids("leads", "leads", never_moved, _place_of, filterable=self._filterable)
        return changes(events, {**dict(present), **born})

    def _events(self, params: Params) -> list[StageEvent]:
        types: list[tuple[str, object]] = [("filter[type][]", name) for name in TYPES]
        found = self._api.pages("events", "events", read_event, [*types, *params], size=EVENTS_PAGE)
        return list({event.id: event for event in found}.values())

    def _first_moment(self) -> datetime | None:
        """When the first deal was created; None without any deal."""
        first, _ = self._api.page(
            "leads",
            "leads",
            lambda item: item["created_at"].unix(),
            [("order[created_at]", "asc"), ("limit", 1), ("page", 1)],
        )
        return first[0] if first else None

    def _oldest_first(self, since: datetime | None) -> Iterator[Deal]:
        """By time of change upwards. Each page starts where the last one ended, so offsets cannot slip."""
        edge, known, number = since, set[str](), 1
        while True:
            params: list[tuple[str, object]] = [WITH, ("order[updated_at]", "asc"), ("limit", PAGE)]
            if edge is not None:
                params.append(("filter[updated_at][from]", _unix(edge)))
            rows, more = self._api.page("leads", "leads", self._read_deal, [*params, ("page", number)])
            yield from (deal for deal in rows if deal.id not in known)
            if not more or not rows:
                return
            last = rows[-1].updated_at
            if edge is None or last > edge:
                edge, number = last, 1
                known = {deal.id for deal in rows if deal.updated_at == last}
            else:
                # A whole page within one second, as an import leaves it.
                known |= {deal.id for deal in rows}
                number += 1

    def _newest_first(self, since: datetime | None) -> Iterator[Deal]:
        """By time of change downwards until `since`: changed rows move to the front, so none is skipped."""
        known: set[str] = set()
        params: Params = [WITH, ("order[updated_at]", "desc")]
        for deal in self._api.pages("leads", "leads", self._read_deal, params):
            if since is not None and deal.updated_at < since:
                return
            if deal.id not in known:
                known.add(deal.id)
                yield deal


def _span(start: datetime, end: datetime) -> Params:
    return [("filter[created_at][from]", _unix(start)), ("filter[created_at][to]", _unix(end))]


def _next_window(window: timedelta, events: int) -> timedelta:
    """The span to ask for after one of that length which held so many events."""
    if events > MANY_EVENTS:
        return max(window / 2, timedelta(hours=1))
    return min(window * 2, LONGEST_WINDOW) if events < FEW_EVENTS else window


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())


def _place_of(item: Wild) -> tuple[str, Place]:
    return item["id"].id(), (item["pipeline_id"].id(), item["status_id"].id())


def _chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
