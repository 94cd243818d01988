"""Our own moves among those that a reading of a deal shows: what was sent against what the CRM tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.clock import Clock
from connector.domain import StageChange
from connector.echoes import OwnMove, recognise
from connector.errors import RetryLater
from connector.moves import Merge
from connector.store import facts, outbox
from connector.store.database import Database
from connector.store.facts import AccountRow
from connector.store.outbox import Effect

#: A hook may come before the CRM's answer to our own call is written down: the answer is waited for, in steps
#: of the second.
LONGEST_WAIT = timedelta(minutes=2)
WAIT = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class Ours:
    """`new`: moves recognised now, by event id; `silent`: event ids of all own moves that start no rule."""

    new: Mapping[str, OwnMove]
    silent: frozenset[str]

    def may_start_rules(self, move: StageChange) -> bool:
        return move.event_id not in self.silent


class OwnMoves:
    """Knows from the outbox what was sent."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def among(self, account: AccountRow, deal_id: str, merged: Merge) -> Ours:
        """Which of the moves are ours.

        To be asked after the moves were read: what is written down before it is sent is then known here.
        Raises RetryLater while the CRM's answer to a move of ours is still on its way.
        """
        with self._db.read() as conn:
            effects = outbox.of_deal(conn, account.account, deal_id)
            known = facts.own_changes(conn, account.account, deal_id)
        own = {move.effect_id: move for effect in effects if (move := own_move(effect)) is not None}
        # A move that was only seen may have been recognised before the history named it.
        known |= {
            real.event_id: known[stored.event_id]
            for stored, real in merged.corrected
            if stored.event_id in known
        }
        new = recognise(merged.new, list(own.values()), set(known.values()), account.user_id)
        now = self._clock.now()
        if any(move.answered_at is None and now - move.tried_at < LONGEST_WAIT for move in new.values()):
            raise RetryLater(WAIT)
        by_event = {**{event_id: own.get(effect_id) for event_id, effect_id in known.items()}, **new}
        silent = (event_id for event_id, move in by_event.items() if move is None or not move.starts_rules)
        return Ours(new, frozenset(silent))


def own_move(effect: Effect) -> OwnMove | None:
    """The move that an effect has sent or may have sent; None when it moves nothing."""
    sent_at, params, result = effect.result.get("sent_at"), effect.params, effect.result
    if effect.action != "update" or sent_at is None or "stage_id" not in params:
        return None
    if effect.status == "done" and not result.get("changed"):
        return None
    return OwnMove(
        effect_id=effect.id,
        rule=effect.rule,
        pipeline_id=params["pipeline_id"],
        stage_id=params["stage_id"],
        sent_at=datetime.fromisoformat(sent_at),
        tried_at=datetime.fromisoformat(result.get("tried_at") or sent_at),
        answered_at=None if effect.status in ("ready", "sending") else effect.updated_at,
        starts_rules=bool(params.get("starts_rules")),
    )
