"""Every way in which a CRM shows what webhooks did not tell, one after another; a page at a time.

Deals changed of late, moves in the history, the CRM's own log, deletions, and a portion of the deals that we
know, asked whether they are still there. Only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from connector.batches import pages
from connector.crm.base import CrmClient
from connector.reconcile.differences import Difference, back, gone, merged_into, of_deal, of_move, told
from connector.store import cursors, facts, inbox
from connector.store.database import Database
from connector.store.facts import AccountRow, DealRow, Which

#: Deals that one run asks after, of each of `SWEPT`: a page of amoCRM, one request of Bitrix24.
PORTION = 250
SWEPT: tuple[Which, ...] = ("open", "closed", "gone")

#: A deal that is gone is looked for so long: it may be taken out of the recycle bin.
MAY_COME_BACK = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Looked:
    """One page: how many deals were compared and which differ. `sweep`: where a rotation stands behind it."""

    checked: int
    found: list[Difference]
    sweep: tuple[Which, str] | None = None


class Reading:
    """One comparison, at `now`. since: changes before it were compared before; until: those after it are left
    to their own webhooks."""

    def __init__(
        self,
        db: Database,
        client: CrmClient,
        row: AccountRow,
        *,
        since: datetime,
        until: datetime,
        now: datetime,
    ) -> None:
        self._db = db
        self._client = client
        self._row = row
        self._since = since
        self._until = until
        self._now = now
        self._seen: set[str] = set()

    def changes(self) -> Iterator[Looked]:
        """Pages of what was made, changed or moved, each deal once. Raises CrmError or RetryLater."""
        return self._news_of(self._deals, self._moves, self._log)

    def absences(self) -> Iterator[Looked]:
        """Pages of what is gone or came back; deals that `changes` gave are left out. Raises as `changes`."""
        return self._news_of(self._deletions, self._sweeps)

    def _news_of(self, *sources: Callable[[], Iterator[Looked]]) -> Iterator[Looked]:
        for source in sources:
            for looked in source():
                yield self._only_news(looked)

    def _only_news(self, looked: Looked) -> Looked:
        """Without deals that came before, and without hints that are on their way already."""
        fresh = {one.deal_id: one for one in looked.found if one.deal_id not in self._seen}
        if not fresh:
            return Looked(looked.checked, [], looked.sweep)
        with self._db.read() as conn:
            hints = [one.hint.dedup for one in fresh.values()]
            settled = inbox.settled(conn, self._row.account, hints, self._now)
        found = [one for one in fresh.values() if one.hint.dedup not in settled]
        self._seen.update(one.deal_id for one in found)
        return Looked(looked.checked, found, looked.sweep)

    def _deals(self) -> Iterator[Looked]:
        for page in pages(self._client.deals(updated_since=self._since)):
            known = self._known(deal.id for deal in page)
            found = [
                difference
                for deal in page
                if deal.updated_at < self._until
                and (difference := of_deal(deal, known.get(deal.id))) is not None
            ]
            yield Looked(len(page), found)

    def _moves(self) -> Iterator[Looked]:
        """A deal may look as we know it and yet have moved away and back."""
        since = max(self._since, self._row.live_since)
        for page in pages(self._client.stage_changes(since=since)):
            moves = [move for move in page if move.at < self._until]
            with self._db.read() as conn:
                stored = facts.known_changes(conn, self._row.account, [move.event_id for move in moves])
                known = self._known_in(conn, (move.deal_id for move in moves))
            found = [
                of_move(move, known.get(move.deal_id))
                for move in moves
                if move.event_id not in stored and not _is_service(known.get(move.deal_id))
            ]
            yield Looked(0, found)

    def _log(self) -> Iterator[Looked]:
        for page in pages(self._client.told_since(self._since)):
            known = self._known(event.entity_id for event in page)
            found = []
            for event in page:
                row, at = known.get(event.entity_id), event.at or self._until
                if at < self._until and not _is_service(row):
                    found += [difference] if (difference := told(event, row, at)) else []
            yield Looked(0, found)

    def _deletions(self) -> Iterator[Looked]:
        for page in pages(self._client.deletions(since=self._since)):
            known = self._known(one.deal_id for one in page)
            heirs = self._known(one.merged_into for one in page if one.merged_into)
            found = [
                gone(row, one.at, seen=one.at)
                for one in page
                if (row := known.get(one.deal_id)) is not None and not row.is_deleted
            ]
            found += [
                merged_into(one.merged_into, heirs.get(one.merged_into), one.at, one.deal_id)
                for one in page
                if one.merged_into
            ]
            yield Looked(0, found)

    def _sweeps(self) -> Iterator[Looked]:
        for which in SWEPT:
            rows = self._portion(which)
            exist = self._client.existing([row.deal_id for row in rows]) if rows else set()
            if which == "gone":
                found = [back(row, self._until, seen=row.read_at) for row in rows if row.deal_id in exist]
            else:
                found = [gone(row, self._until, seen=row.read_at) for row in rows if row.deal_id not in exist]
            # A short portion is the end: the next one begins anew.
            after = rows[-1].deal_id if len(rows) == PORTION else ""
            yield Looked(len(rows), found, (which, after))

    def _portion(self, which: Which) -> list[DealRow]:
        account = self._row.account
        with self._db.read() as conn:
            cursor = cursors.find(conn, account, f"sweep:{which}") or {"after": ""}
            return facts.portion(
                conn,
                account,
                which=which,
                after=cursor["after"],
                limit=PORTION,
                seen_since=self._until - MAY_COME_BACK,
            )

    def _known(self, deal_ids: Iterable[str]) -> dict[str, DealRow]:
        with self._db.read() as conn:
            return self._known_in(conn, deal_ids)

    def _known_in(self, conn: Connection, deal_ids: Iterable[str]) -> dict[str, DealRow]:
        return facts.deal_rows(conn, self._row.account, list(dict.fromkeys(deal_ids)))


def _is_service(row: DealRow | None) -> bool:
    return row is not None and row.is_service
