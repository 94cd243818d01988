"""Two ways to walk a long list of amoCRM's from its oldest change to its newest. Must not know what is in it.

Lists page by offset, so rows that change meanwhile move. Both ways are such that a change can show a row
twice, never hide it. Source: amoCRM developers' docs, pages «Фильтрация», «События и примечания».
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, TypeVar

from connector.crm.ahead import in_order
from connector.crm.amocrm.api import PAGE, AmoApi, Params, Reader

T = TypeVar("T")

#: Where a list has no order to choose, it is asked for by spans of time. A span that held few rows is
#: followed by a longer one, for each span costs requests of its own; one that held many by a shorter one, for
#: all of them are in memory at once.
FIRST_WINDOW = timedelta(days=7)
LONGEST_WINDOW = timedelta(days=56)
FEW_ROWS, MANY_ROWS = 1_000, 5_000

#: Requests in flight: where an answer takes half a second, these reach what amoCRM allows.
AHEAD = 4

#: amoCRM's clock may be ahead of ours; what it wrote this second must not wait for the next run.
CLOCK_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Row(Generic[T]):
    """A thing with its id and the moment of its change."""

    at: datetime
    id: str
    thing: T


def by_change(
    api: AmoApi, path: str, collection: str, read: Reader[Row[T]], params: Params, since: datetime | None
) -> Iterator[Row[T]]:
    """Rows changed at or after `since`, of a list that can be ordered and filtered by `updated_at`.

    Each page starts where the last one ended, so offsets cannot slip.
    """
    edge, known, number = since, set[str](), 1
    while True:
        asked: list[tuple[str, object]] = [*params, ("order[updated_at]", "asc"), ("limit", PAGE)]
        if edge is not None:
            asked.append(("filter[updated_at][from]", unix(edge)))
        rows, more = api.page(path, collection, read, [*asked, ("page", number)])
        yield from (row for row in rows if row.id not in known)
        if not more or not rows:
            return
        last = rows[-1].at
        if edge is None or last > edge:
            edge, number = last, 1
            known = {row.id for row in rows if row.at == last}
        else:
            # A whole page within one second, as an import leaves it.
            known |= {row.id for row in rows}
            number += 1


def by_spans(
    read: Callable[[datetime, datetime], Sequence[T]], start: datetime, end: datetime
) -> Iterator[Sequence[T]]:
    """What `read` finds from one moment to another, both included, span by span until before `end`.

    Some spans are read at once, by threads, and come in their order. Within a span `read` asks for a page
    after another: what comes in meanwhile may push an older row to a later page, never to one that was read.
    """
    window = FIRST_WINDOW

    def spans() -> Iterator[Callable[[], Sequence[T]]]:
        begin = start
        while begin < end:
            until = min(begin + window, end)
            yield partial(read, begin, until - timedelta(seconds=1))
            begin = until

    for found in in_order(spans(), ahead=AHEAD):
        window = _next_window(window, len(found))
        yield found


def _next_window(window: timedelta, rows: int) -> timedelta:
    """The span to ask for after one of that length which held so many rows."""
    if rows > MANY_ROWS:
        return max(window / 2, timedelta(hours=1))
    return min(window * 2, LONGEST_WINDOW) if rows < FEW_ROWS else window


def span(name: str, start: datetime, end: datetime) -> Params:
    """The filter of a list by a field of time, both ends included."""
    return [(f"filter[{name}][from]", unix(start)), (f"filter[{name}][to]", unix(end))]


def unix(moment: datetime) -> int:
    return int(moment.timestamp())


def first_moment(api: AmoApi, path: str, collection: str) -> datetime | None:
    """When the first thing of a list was created; None for an empty list."""
    first, _ = api.page(
        path,
        collection,
        lambda item: item["created_at"].unix(),
        [("order[created_at]", "asc"), ("limit", 1), ("page", 1)],
    )
    return first[0] if first else None


def chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
