"""The portal's stage history -> stage changes. Must not know what becomes of them.

A row names the new stage only; the old one is that of the deal's row before. The portal may show the rows of
a deal's present pipeline alone (b24restdocs issue 8): this list repairs our own log and cannot replace it.
Source: Bitrix24 REST docs, page «crm.stagehistory.list».
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from connector.clock import Clock
from connector.crm.bitrix24.api import BATCH, B24Api
from connector.crm.bitrix24.listing import LongList
from connector.crm.bitrix24.wire import DEAL
from connector.crm.wild import Wild
from connector.domain import StageChange

METHOD = "crm.stagehistory.list"
CREATED = 1

#: Written where a move's old stage is in no row: it was a move, and the portal does not say from where.
UNKNOWN = ""


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
        before: dict[str, Row] = {}
        for row in self._rows({"=OWNER_ID": int(deal_id)}):
            change = _change(row, before.get(row.deal_id))
            before[row.deal_id] = row
            if since is None or row.at >= since:
                yield change

    def of_all(self, since: datetime | None) -> Iterator[StageChange]:
        """The moves of all deals at or after `since`, by ascending id, which is their order in time."""
        before: dict[str, Row] = {}
        rows = self._rows({} if since is None else {">=CREATED_TIME": since.isoformat()})
        for some in _chunks(rows, BATCH):
            if since is not None:
                before.update(self._earlier(some, before))
            for row in some:
                yield _change(row, before.get(row.deal_id))
                before[row.deal_id] = row

    def _rows(self, filters: dict[str, object]) -> Iterator[Row]:
        params = {"entityTypeId": DEAL, "filter": filters}
        return LongList(self._api, self._clock, METHOD, params, _read_row, key="ID").rows()

    def _earlier(self, rows: list[Row], known: dict[str, Row]) -> dict[str, Row]:
        """The last row before these of each deal that came without its creation; one request for all."""
        first: dict[str, Row] = {}
        for row in rows:
            first.setdefault(row.deal_id, row)
        wanted = {f"deal{row.deal_id}": row for row in first.values() if not row.is_creation}
        commands = {
            key: (
                METHOD,
                {
                    "entityTypeId": DEAL,
                    "filter": {"=OWNER_ID": int(row.deal_id), "<ID": row.id},
                    "order": {"ID": "DESC"},
                },
            )
            for key, row in wanted.items()
            if row.deal_id not in known
        }
        if not commands:
            return {}
        answers = self._api.batch(commands)
        found: dict[str, Row] = {}
        for key in commands:
            earlier = answers.read(key, lambda result: [_read_row(item) for item in result["items"].each()])
            if earlier:
                last = max(earlier, key=lambda row: row.id)
                found[last.deal_id] = last
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


def _change(row: Row, before: Row | None) -> StageChange:
    """`event_id` has leading zeros, so that ids of one second sort as texts."""
    known = before if not row.is_creation else None
    unknown = None if row.is_creation else UNKNOWN
    return StageChange(
        event_id=f"{row.id:012d}",
        deal_id=row.deal_id,
        at=row.at,
        to_pipeline_id=row.pipeline_id,
        to_stage_id=row.stage_id,
        from_pipeline_id=known.pipeline_id if known else unknown,
        from_stage_id=known.stage_id if known else unknown,
    )


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
