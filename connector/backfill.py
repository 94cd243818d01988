"""Read the past of an account: deals and their moves, as facts. No rule is asked about any of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.directory import Directories
from connector.domain import Deal, StageChange
from connector.intake import Intake
from connector.reconcile import hint, pages
from connector.store import facts
from connector.store.database import Database
from connector.store.facts import AccountRow

#: Told after each page: what is being read («deals», «moves») and how many are there so far.
Progress = Callable[[str, int], None]

MOVES_PAGE = 500


@dataclass(frozen=True, slots=True)
class Backfilled:
    """How many deals and moves were read."""

    deals: int
    moves: int


class Backfill:
    """Fills the facts with what happened before the connector came."""

    def __init__(
        self,
        db: Database,
        clients: Mapping[str, CrmClient],
        directories: Directories,
        intake: Intake,
        clock: Clock,
    ) -> None:
        self._db = db
        self._clients = clients
        self._directories = directories
        self._intake = intake
        self._clock = clock

    def run(self, account: str, progress: Progress = lambda what, count: None) -> Backfilled:
        """Read all deals and all moves; it may be run again at any time. Raises CrmError or RetryLater."""
        _, row = self._directories.of(account)
        client = self._clients[account]
        read_deals = read_moves = 0
        for page in pages(client.deals()):
            self._hint_at_live(account, row, page)
            # A page whose reading began later than its deals were read would hide changes from reconcile.
            read_at = min(deal.updated_at for deal in page)
            with self._db.begin() as conn:
                facts.save_deals(conn, page, read_at=read_at, overwrite=False)
            read_deals += len(page)
            progress("deals", read_deals)
        for moves in _pages(client.stage_changes()):
            with self._db.begin() as conn:
                past = [move for move in moves if move.at < row.live_since]
                facts.save_changes(conn, account, past)
            read_moves += len(moves)
            progress("moves", read_moves)
        return Backfilled(read_deals, read_moves)

    def _hint_at_live(self, account: str, row: AccountRow, page: Sequence[Deal]) -> None:
        """Rules must be asked about moves since the account went live: those deals are intake's.

        The hints come before the deals are stored, for stored they would look as if they had been read.
        """
        with self._db.read() as conn:
            known = facts.deal_rows(conn, account, [deal.id for deal in page])
        hints = [hint(deal) for deal in page if deal.updated_at >= row.live_since and deal.id not in known]
        self._intake.receive(account, hints, {"found_by": "backfill"}, source="reconcile")


def _pages(moves: Iterable[StageChange]) -> Iterator[list[StageChange]]:
    iterator = iter(moves)
    while page := list(islice(iterator, MOVES_PAGE)):
        yield page
