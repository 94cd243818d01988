"""Read the past of an account, as facts. No rule is asked about any of it.

What is read stands in `PARTS`. Where a reading stands is kept beside the facts, in the same transaction:
after a stop, a kill or days it goes on there, and what was read before is not read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from connector.batches import pages
from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.directory import Directories
from connector.domain import CrmEvent, Deal, DealMark
from connector.intake import Intake
from connector.reconcile import OVERLAP
from connector.reconcile.differences import of_deal
from connector.store import activities, cursors, deal_changes, facts, invoices
from connector.store.activities import Saved
from connector.store.database import Database
from connector.store.facts import AccountRow

#: The name of the cursor.
BACKFILL = "backfill"

MOVES_PAGE = 500
THINGS_PAGE = 500
ORPHANS = 250


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the rows of one part: `read` = `new` + `changed` + `skipped`.

    `changed` ones were known otherwise and are worked off like any change; `skipped` ones were known as they
    are, or, of moves, are younger than the account's first day with us and come with their deals.
    """

    read: int = 0
    new: int = 0
    changed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(
            self.read + other.read,
            self.new + other.new,
            self.changed + other.changed,
            self.skipped + other.skipped,
        )


@dataclass(frozen=True, slots=True)
class Step:
    """How far a part is: told after each page. `share`: 0..1 of the part, None where nobody knows."""

    part: str
    count: Count
    share: float | None


Progress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What was read, by part, since the reading began; `went_on_from`: when it was broken off before."""

    counts: Mapping[str, Count]
    went_on_from: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows ready to be kept. `hints`: what intake has to look at, taken in before the rows are kept; `mark`:
    where to go on behind them."""

    keep: Callable[[Connection], Count]
    mark: Mapping[str, Any]
    share: float | None
    hints: tuple[CrmEvent, ...] = ()


@dataclass(slots=True)
class Place:
    """Where a reading stands. `part` None: all is read. `mark`: of the page that was kept last, if any."""

    part: str | None
    began_at: datetime
    mark: Mapping[str, Any] | None = None
    counts: dict[str, Count] = field(default_factory=dict)
    total: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "part": self.part,
            "began_at": self.began_at.isoformat(),
            "mark": dict(self.mark) if self.mark is not None else None,
            "counts": {name: asdict(count) for name, count in self.counts.items()},
            "total": self.total,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Place:
        return cls(
            part=value["part"],
            began_at=datetime.fromisoformat(value["began_at"]),
            mark=value["mark"],
            counts={name: Count(**count) for name, count in value["counts"].items()},
            total=value["total"],
        )


@dataclass(frozen=True, slots=True)
class Walk:
    """What a part is given to read with."""

    db: Database
    client: CrmClient
    row: AccountRow
    place: Place
    now: datetime


def read_deals(walk: Walk) -> Iterator[Page]:
    """All deals; behind them, after a stop, those that changed since the reading began."""
    client, place = walk.client, walk.place
    mark = place.mark
    if place.total is None:
        place.total = client.deal_count()
    if mark is None or not mark["is_through"]:
        after = None if mark is None else _mark_of(mark)
        for page in pages(client.deals(after=after)):
            yield _deals_page(walk, page, is_through=False)
    if mark is not None:
        for page in pages(client.deals(updated_since=place.began_at - OVERLAP)):
            yield _deals_page(walk, page, is_through=True)


def _mark_of(mark: Mapping[str, Any]) -> DealMark:
    created_at, updated_at = (datetime.fromisoformat(mark[name]) for name in ("created_at", "updated_at"))
    return DealMark(mark["id"], created_at, updated_at)


def _deals_page(walk: Walk, page: Sequence[Deal], *, is_through: bool) -> Page:
    with walk.db.read() as conn:
        known = facts.deal_rows(conn, walk.row.account, [deal.id for deal in page])
    differing = {deal.id: found for deal in page if (found := of_deal(deal, known.get(deal.id))) is not None}
    # Rules must be asked about moves since the account went live: those deals are intake's.
    live = {deal.id for deal in page if deal.updated_at >= walk.row.live_since}
    new = [deal for deal in page if deal.id not in known]
    changed = [deal for deal in page if deal.id in known and deal.id in differing]

    def keep(conn: Connection) -> Count:
        # A reading that began later than its deals were read would hide changes from reconcile.
        read_at = min((deal.updated_at for deal in new), default=walk.now)
        facts.save_deals(conn, new, read_at=read_at, overwrite=False)
        facts.add_links(conn, new)
        return Count(len(page), len(new), len(changed), len(page) - len(new) - len(changed))

    last = page[-1]
    before = walk.place.counts.get("deals", Count()).read
    total = walk.place.total
    return Page(
        keep,
        {
            "id": last.id,
            "created_at": last.created_at.isoformat(),
            "updated_at": last.updated_at.isoformat(),
            "is_through": is_through,
        },
        None if not total else min(1.0, (before + len(page)) / total),
        tuple(found.hint for deal_id, found in differing.items() if deal_id in live or deal_id in known),
    )


def read_moves(walk: Walk) -> Iterator[Page]:
    """All moves in the order of time; those since the account went live are intake's."""
    mark = walk.place.mark
    since = datetime.fromisoformat(mark["at"]) if mark else None
    first = datetime.fromisoformat(mark["first"]) if mark else None
    for page in pages(walk.client.stage_changes(since=since), MOVES_PAGE):
        first = first or page[0].at
        with walk.db.read() as conn:
            known = facts.known_changes(conn, walk.row.account, [move.event_id for move in page])
        past = [move for move in page if move.event_id not in known and move.at < walk.row.live_since]

        def keep(conn: Connection, past: list[Any] = past, read: int = len(page)) -> Count:
            facts.save_changes(conn, walk.row.account, past)
            deal_changes.save(conn, walk.row.account, deal_changes.of_moves(past))
            return Count(read, len(past), 0, read - len(past))

        last = page[-1].at
        span = (walk.now - first).total_seconds()
        share = (last - first).total_seconds() / span if span > 0 else 1.0
        yield Page(keep, {"at": last.isoformat(), "first": first.isoformat()}, min(1.0, share))


T = TypeVar("T")


def read_activities(walk: Walk) -> Iterator[Page]:
    """Calls, meetings and messages in the order of their change."""
    found = walk.client.activities(since=_since(walk), brief=True)
    return _by_change(walk, found, lambda one: one.updated_at, activities.save_activities)


def read_tasks(walk: Walk) -> Iterator[Page]:
    """Tasks in the order of their change."""
    found = walk.client.tasks(since=_since(walk))
    return _by_change(walk, found, lambda one: one.updated_at, activities.save_tasks)


def read_invoices(walk: Walk) -> Iterator[Page]:
    """The CRM's invoices in the order of their change; behind them ours are brought together with them."""
    found = walk.client.invoices(since=_since(walk))
    yield from _by_change(walk, found, lambda one: one.updated_at, invoices.save_invoices)

    def settle(conn: Connection) -> Count:
        invoices.settle_since(conn, walk.row.account, datetime.min.replace(tzinfo=UTC))
        return Count()

    yield Page(settle, walk.place.mark or {}, 1.0)


def read_orphans(walk: Walk) -> Iterator[Page]:
    """Deals that we know by their calls and tasks alone: what the CRM has not, was deleted with them."""
    asked: set[str] = set()
    while True:
        with walk.db.read() as conn:
            found = activities.orphans(conn, walk.row.account, len(asked) + ORPHANS)
        some = [deal_id for deal_id in found if deal_id not in asked][:ORPHANS]
        if not some:
            return
        asked.update(some)
        there = walk.client.existing(some)
        gone = [deal_id for deal_id in some if deal_id not in there]

        def keep(conn: Connection, gone: Sequence[str] = gone, read: int = len(some)) -> Count:
            activities.mark_deals_gone(conn, walk.row.account, gone)
            return Count(read, 0, len(gone), read - len(gone))

        yield Page(keep, {}, None)


def _since(walk: Walk) -> datetime | None:
    mark = walk.place.mark
    return datetime.fromisoformat(mark["at"]) if mark else None


def _by_change(
    walk: Walk,
    rows: Iterable[T],
    changed_at: Callable[[T], datetime],
    save: Callable[[Connection, str, Sequence[T]], Saved],
) -> Iterator[Page]:
    """Pages of things that come with the oldest change first: the last one's is where to go on."""
    mark = walk.place.mark
    first = datetime.fromisoformat(mark["first"]) if mark else None
    for page in pages(rows, THINGS_PAGE):
        first = first or changed_at(page[0])

        def keep(conn: Connection, page: Sequence[T] = page) -> Count:
            saved = save(conn, walk.row.account, page)
            return Count(saved.read, saved.new, 0, saved.read - saved.new)

        last = changed_at(page[-1])
        span = (walk.now - first).total_seconds()
        share = (last - first).total_seconds() / span if span > 0 else 1.0
        yield Page(keep, {"at": last.isoformat(), "first": first.isoformat()}, min(1.0, share))


@dataclass(frozen=True, slots=True)
class Part:
    """One line of what is read. `title`: what people call its rows."""

    name: str
    title: str
    read: Callable[[Walk], Iterator[Page]]


#: What is read, in this order: a new kind of facts is one line here.
PARTS: tuple[Part, ...] = (
    Part("deals", "сделки", read_deals),
    Part("moves", "движение по этапам", read_moves),
    Part("activities", "звонки, встречи, сообщения", read_activities),
    Part("tasks", "задачи", read_tasks),
    Part("invoices", "счета", read_invoices),
    Part("orphans", "сделки, известные только по звонкам и задачам", read_orphans),
)


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

    def broken_off_at(self, account: str) -> datetime | None:
        """Since when a reading waits to be gone on with; None when there is none."""
        place = self._stored_place(account)
        return place.began_at if place is not None and place.part is not None else None

    def run(self, account: str, progress: Progress = lambda step: None, *, anew: bool = False) -> Backfilled:
        """Read all parts, from where the last reading was broken off; anew: from the beginning.

        It may be run at any time, beside a working connector too. Raises CrmError or RetryLater; what was
        read by then stays.
        """
        _, row = self._directories.of(account)
        place = None if anew else self._stored_place(account)
        went_on_from = None
        if place is None or place.part is None:
            place = Place(PARTS[0].name, self._clock.now())
        else:
            went_on_from = place.began_at
        names = [part.name for part in PARTS]
        # A part that this version does not know was read by another one: begin anew.
        start = names.index(place.part) if place.part in names else 0
        for part in PARTS[start:]:
            if place.part != part.name:
                place = replace(place, part=part.name, mark=None, total=None)
            self._read(part, Walk(self._db, self._clients[account], row, place, self._clock.now()), progress)
        self._save(account, replace(place, part=None, mark=None, total=None))
        return Backfilled(place.counts, went_on_from)

    def _read(self, part: Part, walk: Walk, progress: Progress) -> None:
        account, place = walk.row.account, walk.place
        for page in part.read(walk):
            # Before the rows are kept, for kept they would look as if they had been read for good.
            self._intake.take_hints(account, page.hints, "backfill")
            with self._db.begin() as conn:
                count = place.counts.get(part.name, Count()) + page.keep(conn)
                place.counts[part.name], place.mark = count, page.mark
                cursors.save(conn, account, BACKFILL, place.as_json(), self._clock.now())
            progress(Step(part.name, count, page.share))

    def _save(self, account: str, place: Place) -> None:
        with self._db.begin() as conn:
            cursors.save(conn, account, BACKFILL, place.as_json(), self._clock.now())

    def _stored_place(self, account: str) -> Place | None:
        with self._db.read() as conn:
            value = cursors.find(conn, account, BACKFILL)
        return None if value is None else Place.from_json(value)
