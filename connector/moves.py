"""Which moves of a deal are new: our own memory and the CRM's history, brought together. Pure.

A CRM's history may lag behind the deal itself, and it may never show a move at all (Bitrix24 after a change
of funnel). So a stage that no history explains becomes a move «seen» by us, and takes over the CRM's identity
of that move when the history shows it later. Read our own memory first, the CRM's history after it and the
deal last: then the deal is the newest of the three, and a missing last move is the only difference that can
appear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from connector.domain import Deal, StageChange

#: Written where a move came from a stage that nobody names; None is for creations.
UNKNOWN = ""

#: Start of the event ids of moves that only the deal's own stage shows.
SEEN = "seen:"

#: How long before the moment that we give a seen move the CRM's history may put it later: what we know is
#: when the deal was last changed, and that is the move itself or something after it.
SEEN_TOLERANCE = timedelta(minutes=10)

#: A return to a stage within this time of the last entry is a slip of the hand, not a second entry.
BOUNCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Merge:
    """`history`: all moves in order. `new`: those to store. `corrected`: (as stored, as the CRM has it)."""

    history: tuple[StageChange, ...]
    new: tuple[StageChange, ...]
    corrected: tuple[tuple[StageChange, StageChange], ...]

    @property
    def to_ask(self) -> list[StageChange]:
        """The moves, in order, that no rule was asked about as they are: new ones, and those that turned out
        to lead from or to another stage."""
        unasked = {change.event_id for change in self.new}
        unasked |= {real.event_id for stored, real in self.corrected if _way(stored) != _way(real)}
        return [change for change in self.history if change.event_id in unasked]


def merge(stored: Sequence[StageChange], from_crm: Sequence[StageChange], deal: Deal) -> Merge:
    """What the CRM's history and the deal, read after it, add to the stored moves of that deal."""
    known = {change.event_id: change for change in stored}
    waiting = [change for change in stored if change.event_id.startswith(SEEN)]
    new: list[StageChange] = []
    corrected: list[tuple[StageChange, StageChange]] = []
    for change in in_order(from_crm):
        before = known.get(change.event_id)
        if before is not None:
            # amoCRM does not say where a deal was born before it has moved: then that was a guess.
            if _place(before) != _place(change):
                corrected.append((before, change))
            continue
        twin = next((seen for seen in waiting if _same_move(seen, change)), None)
        if twin is None:
            new.append(change)
        else:
            waiting.remove(twin)
            corrected.append((twin, change))
    replaced = {before.event_id for before, _ in corrected}
    history = in_order(
        [change for change in stored if change.event_id not in replaced]
        + [change for _, change in corrected]
        + new
    )
    last = history[-1] if history else None
    if last is None or _place(last) != (deal.pipeline_id, deal.stage_id):
        seen = _seen(deal, last)
        if seen.event_id not in known:
            new.append(seen)
            history.append(seen)
    return Merge(tuple(history), tuple(new), tuple(corrected))


def in_order(changes: Iterable[StageChange]) -> list[StageChange]:
    """The moves in the order (at, event_id)."""
    return sorted(changes, key=lambda change: (change.at, change.event_id))


def entry_ordinal(history: Sequence[StageChange], move: StageChange) -> int:
    """Which entry of the deal into the stage of `move` this is, counted from 1.

    `history` is in order and holds `move`. An entry within `BOUNCE` of the one before is the same entry.
    """
    ordinal = 0
    previous = None
    for change in history:
        if _place(change) != _place(move):
            continue
        if previous is None or change.at - previous > BOUNCE:
            ordinal += 1
        previous = change.at
        if change.event_id == move.event_id:
            return ordinal
    raise ValueError(f"move {move.event_id} is not in the history of deal {move.deal_id}")


def _place(change: StageChange) -> tuple[str, str]:
    return change.to_pipeline_id, change.to_stage_id


def _way(change: StageChange) -> tuple[str | None, str | None, str, str]:
    return change.from_pipeline_id, change.from_stage_id, *_place(change)


def _same_move(seen: StageChange, change: StageChange) -> bool:
    """A later move to the same stage is another one, unless it counts as the same entry anyway."""
    return _place(seen) == _place(change) and -BOUNCE <= seen.at - change.at <= SEEN_TOLERANCE


def _seen(deal: Deal, last: StageChange | None) -> StageChange:
    """The move that brought the deal where it stands, after the `last` one that is known.

    Of a deal without any history nobody says that it ever moved: an old one must not look like a new one.
    """
    pipeline_id: str | None
    stage_id: str | None
    at = deal.moved_at or (deal.updated_at if last else deal.created_at)
    if last is not None:
        at = max(at, last.at)
        pipeline_id, stage_id = _place(last)
    else:
        pipeline_id = stage_id = UNKNOWN if at - deal.created_at > BOUNCE else None
    return StageChange(
        event_id=f"{SEEN}{deal.id}:{at:%Y%m%d%H%M%S}:{deal.stage_id}",
        deal_id=deal.id,
        at=at,
        to_pipeline_id=deal.pipeline_id,
        to_stage_id=deal.stage_id,
        from_pipeline_id=pipeline_id,
        from_stage_id=stage_id,
        changed_by=deal.changed_by,
    )
