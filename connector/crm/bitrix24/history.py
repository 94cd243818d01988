"""The portal's stage history -> stage changes. Must not know what becomes of them.

A row names the new stage only; the old one is that of the deal's row before. The portal may show the rows of
a deal's present pipeline alone (b24restdocs issue 8): this list repairs our own log and cannot replace it.
Source: Bitrix24 REST docs, page «crm.stagehistory.list».
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from connector.clock import Clock
from connector.crm.bitrix24.api import BATCH, PAGE, B24Api, Params
from connector.crm.bitrix24.listing import LongList
from connector.crm.bitrix24.wire import DEAL
from connector.crm.wild import Wild
from connector.domain import StageChange

METHOD = "crm.stagehistory.list"
CREATED = 1

#: Written where a move's old stage is in no row: it was a move, and the portal does not say from where.
UNKNOWN = ""

#: Rows looked at together, deals that share a page of earlier rows (a deal has about five), and deals whose
#: place is held: some megabytes.
CHUNK = 500
TOGETHER = 10
MOST_PLACES = 50_000

#: (pipeline id, stage id)
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the history."""

    id: int
    deal_id: str
    at: datetime
    is_creation: bool
    pipeline_id: str
    stage_id: str


class StageHistory:
    """Reads of one portal's history."""

    def __init__(self, api: B24Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    def of_deal(self, deal_id: str, since: datetime | None) -> Iterator[StageChange]:
        """The moves of one deal, oldest first."""
        place: Place | None = None
        for row in self._rows({"=OWNER_ID": int(deal_id)}):
            change = _change(row, place)
            place = (row.pipeline_id, row.stage_id)
            if since is None or row.at >= since:
                yield change

    def of_all(self, since: datetime | None) -> Iterator[StageChange]:
        """The moves of all deals at or after `since`, by ascending id, which is their order in time."""
        places = _Places()
        rows = self._rows({} if since is None else {">=CREATED_TIME": since.isoformat()})
        for some in _chunks(rows, CHUNK):
            if since is not None or places.has_forgotten:
                for row in self._earlier(some, places):
                    places.put(row)
            for row in some:
                yield _change(row, places.of(row.deal_id))
                places.put(row)
            places.forget()

    def _rows(self, filters: dict[str, object]) -> Iterator[Row]:
        params = {"entityTypeId": DEAL, "filter": filters}
        return LongList(self._api, self._clock, METHOD, params, _read_row, key="ID").rows()

    def _earlier(self, rows: list[Row], places: _Places) -> Iterator[Row]:
        """The last row before these of each deal whose place is not known; 500 deals a request.

        Some deals share a page, newest row first. One that is not on a full page is asked for alone.
        """
        first: dict[str, Row] = {}
        for row in rows:
            first.setdefault(row.deal_id, row)
        wanted = [row for row in first.values() if not row.is_creation and places.of(row.deal_id) is None]
        for some in _chunks(wanted, BATCH * TOGETHER):
            groups = list(_chunks(some, TOGETHER))
            alone: list[Row] = []
            for group, page in zip(groups, self._before(groups), strict=True):
                found = _last_before(group, page)
                yield from found.values()
                if len(page) == PAGE:
                    alone += [row for row in group if row.deal_id not in found]
            for part in _chunks(alone, BATCH):
                singles = [[row] for row in part]
                for group, page in zip(singles, self._before(singles), strict=True):
                    yield from _last_before(group, page).values()

    def _before(self, groups: Sequence[Sequence[Row]]) -> list[list[Row]]:
        """For each group of deals their latest rows before that group's, a page at most; one request."""
        if not groups:
            return []
        commands = {f"group{place}": (METHOD, _earlier_of(group)) for place, group in enumerate(groups)}
        answers = self._api.batch(commands)
        return [
            answers.take(key, lambda result: [_read_row(item) for item in result["items"].each()])
            for key in commands
        ]


class _Places:
    """Where each deal stood last: (pipeline id, stage id). Holds the deals that moved last, so that no
    account, however large, fills the memory; of the others the portal is asked again."""

    def __init__(self) -> None:
        self._known: dict[int, Place] = {}
        # There are few places; each is held once.
        self._places: dict[Place, Place] = {}
        self.has_forgotten = False

    def of(self, deal_id: str) -> Place | None:
        return self._known.get(int(deal_id))

    def put(self, row: Row) -> None:
        place = (row.pipeline_id, row.stage_id)
        self._known.pop(int(row.deal_id), None)
        self._known[int(row.deal_id)] = self._places.setdefault(place, place)

    def forget(self) -> None:
        """Let go the deals that did not move for longest, down to `MOST_PLACES`."""
        while len(self._known) > MOST_PLACES:
            del self._known[next(iter(self._known))]
            self.has_forgotten = True


def _earlier_of(rows: Sequence[Row]) -> Params:
    return {
        "entityTypeId": DEAL,
        "filter": {"@OWNER_ID": [int(row.deal_id) for row in rows], "<ID": max(row.id for row in rows)},
        "order": {"ID": "DESC"},
        "start": -1,
    }


def _last_before(rows: Sequence[Row], page: Iterable[Row]) -> dict[str, Row]:
    """Of each deal of `rows` the latest row of the page that is older than its own."""
    bounds = {row.deal_id: row.id for row in rows}
    found: dict[str, Row] = {}
    for row in page:
        bound = bounds.get(row.deal_id)
        if bound is not None and row.id < bound:
            known = found.get(row.deal_id)
            found[row.deal_id] = row if known is None or row.id > known.id else known
    return found


def _read_row(item: Wild) -> Row:
    return Row(
        id=item["ID"].int(),
        deal_id=item["OWNER_ID"].id(),
        at=item["CREATED_TIME"].iso(),
        is_creation=item["TYPE_ID"].int() == CREATED,
        pipeline_id=item["CATEGORY_ID"].id(),
        stage_id=item["STAGE_ID"].text(),
    )


def _change(row: Row, before: Place | None) -> StageChange:
    """`event_id` has leading zeros, so that ids of one second sort as texts."""
    known = before if not row.is_creation else None
    unknown = None if row.is_creation else UNKNOWN
    return StageChange(
        event_id=f"{row.id:012d}",
        deal_id=row.deal_id,
        at=row.at,
        to_pipeline_id=row.pipeline_id,
        to_stage_id=row.stage_id,
        from_pipeline_id=known[0] if known else unknown,
        from_stage_id=known[1] if known else unknown,
    )


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
