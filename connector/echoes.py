"""Which moves of a deal we made ourselves. Pure.

A CRM does not say which program moved a deal, at best under whose key. So each move that a rule makes is
written down before it is sent, and of the moves that the CRM shows later the nearest one to the same stage is
ours: one for each that was sent. A person who moves the deal in the same second moves it elsewhere, or is
somebody else, or was first, and then the CRM told us that there was nothing to change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.domain import StageChange
from connector.moves import SEEN

#: What the CRM's clock may differ from ours, with the second that it rounds to.
CLOCKS_DIFFER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class OwnMove:
    """A move that an effect of ours sends or has sent.

    `sent_at` is when the first attempt left, `tried_at` when the latest one did. `answered_at` is None while
    the CRM's answer is not written down. `starts_rules`: other rules may act on it as if a person had made
    it.
    """

    effect_id: int
    rule: str
    pipeline_id: str
    stage_id: str
    sent_at: datetime
    tried_at: datetime
    answered_at: datetime | None
    starts_rules: bool


def recognise(
    moves: Sequence[StageChange], own: Sequence[OwnMove], recognised: Collection[int], user_id: str
) -> dict[str, OwnMove]:
    """Which of `moves` are ours: event id to what we sent.

    recognised: effects whose moves were found before. user_id: whose key we have; "" when nobody knows.
    """
    pairs = sorted(
        (abs(move.at - sent.sent_at), sent.effect_id, move.event_id, sent)
        for move in moves
        for sent in own
        if sent.effect_id not in recognised and _fits(move, sent, user_id)
    )
    found: dict[str, OwnMove] = {}
    taken: set[int] = set()
    for _, effect_id, event_id, sent in pairs:
        if effect_id not in taken and event_id not in found:
            found[event_id] = sent
            taken.add(effect_id)
    return found


def _fits(move: StageChange, sent: OwnMove, user_id: str) -> bool:
    if (move.to_pipeline_id, move.to_stage_id) != (sent.pipeline_id, sent.stage_id):
        return False
    latest = (sent.answered_at or sent.tried_at) + CLOCKS_DIFFER
    if not sent.sent_at - CLOCKS_DIFFER <= move.at <= latest:
        return False
    # Of a move that only the deal's own stage shows we know who changed the deal last, not who moved it.
    who_is_known = move.changed_by and user_id and not move.event_id.startswith(SEEN)
    return not who_is_known or move.changed_by == user_id
