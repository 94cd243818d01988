"""Which moves of a deal are new: our own memory and the CRM's history, brought together. Pure.

A CRM's history may lag behind the deal itself, and it may never show a move at all (Bitrix24 after a change
of funnel). So a stage that no history explains becomes a move «seen» by us, and takes over the CRM's identity
of that move when the history shows it later. Read the history first and the deal after it: then the deal is
the newer of the two, and a missing last move is the only difference that can appear.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from connector.domain import Deal, StageChange

#: Start of the event ids of moves that only the deal's own stage shows.
SEEN = "seen:"

#: How far the moment of a seen move may lie from the one that the CRM's history gives it later.
SEEN_TOLERANCE = timedelta(minutes=10)

#: A return to a stage within this time of the last entry is a slip of the hand, not a second entry.
BOUNCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Merge:
    """`history`: all moves in order. `new`: those to store. `confirmed`: (seen by us, as the CRM has it)."""

    history: tuple[StageChange, ...]
    new: tuple[StageChange, ...]
    confirmed: tuple[tuple[StageChange, StageChange], ...]


def merge(stored: Sequence[StageChange], from_crm: Sequence[StageChange], deal: Deal) -> Merge:
    """What the CRM's history and the deal, read after it, add to the stored moves of that deal."""
    known = {change.event_id for change in stored}
    waiting = [change for change in stored if change.event_id.startswith(SEEN)]
    new: list[StageChange] = []
    confirmed: list[tuple[StageChange, StageChange]] = []
    for change in in_order(change for change in from_crm if change.event_id not in known):
        twin = next((seen for seen in waiting if _same_move(seen, change)), None)
        if twin is None:
            new.append(change)
        else:
            waiting.remove(twin)
            confirmed.append((twin, change))
    replaced = {seen.event_id for seen, _ in confirmed}
    history = in_order(
        [change for change in stored if change.event_id not in replaced]
        + [change for _, change in confirmed]
        + new
    )
    last = history[-1] if history else None
    if last is None or (last.to_pipeline_id, last.to_stage_id) != (deal.pipeline_id, deal.stage_id):
        seen = _seen(deal, last)
        if seen.event_id not in known:
            new.append(seen)
            history.append(seen)
    return Merge(tuple(history), tuple(new), tuple(confirmed))


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
        if (change.to_pipeline_id, change.to_stage_id) != (move.to_pipeline_id, move.to_stage_id):
            continue
        if previous is None or change.at - previous > BOUNCE:
            ordinal += 1
        previous = change.at
        if change.event_id == move.event_id:
            return ordinal
    raise ValueError(f"move {move.event_id} is not in the history of deal {move.deal_id}")


def _same_move(seen: StageChange, change: StageChange) -> bool:
    return (seen.to_pipeline_id, seen.to_stage_id) == (change.to_pipeline_id, change.to_stage_id) and abs(
        seen.at - change.at
    ) <= SEEN_TOLERANCE


def _seen(deal: Deal, last: StageChange | None) -> StageChange:
    at = max(deal.updated_at, last.at) if last else deal.updated_at
    return StageChange(
        event_id=f"{SEEN}{deal.id}:{at:%Y%m%d%H%M%S}:{deal.stage_id}",
        deal_id=deal.id,
        at=at,
        to_pipeline_id=deal.pipeline_id,
        to_stage_id=deal.stage_id,
        from_pipeline_id=last.to_pipeline_id if last else None,
        from_stage_id=last.to_stage_id if last else None,
        changed_by=deal.changed_by,
    )
