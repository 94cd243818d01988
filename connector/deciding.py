"""From an occasion to the outbox: which rules it concerns, what they say of the deal, what is to be done.

An occasion is a move of the deal or something that we learnt ourselves. What one occasion leads to is written
by `decide` in the caller's transaction.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from connector import loops
from connector.domain import Deal, DealCard, StageChange
from connector.playbook.due import due_at
from connector.playbook.evaluate import (
    Evaluation,
    Occasion,
    candidates,
    evaluate,
    facts_of,
    idempotency_scope,
)
from connector.playbook.model import Action, Playbook, Rule, TaskAction, UpdateAction
from connector.playbook.stages import target_stage
from connector.store import outbox, runs
from connector.store.facts import AccountRow, Directory
from connector.store.jobs import JobQueue

log = logging.getLogger(__name__)

#: When the task about rules that chase each other is due: money may hang on the deal.
ALARM_DUE = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Asked:
    """One occasion that rules are asked about. `title`: how the story of the deal calls it; `occurrence`: see
    `idempotency_scope`; `move`: the move that it is, None for a happening.
    """

    occasion: Occasion
    event_id: str
    title: str
    occurrence: int | str
    at: datetime
    move: StageChange | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One rule's answer about one occasion, with the facts that it was given."""

    rule: Rule
    asked: Asked
    evaluation: Evaluation
    scope: str


class Deciding:
    """Asks the rules of the playbook as it is now, and fills the outbox."""

    def __init__(self, queue: JobQueue, playbook: Callable[[], Playbook]) -> None:
        self._queue = queue
        self._playbook = playbook

    def ask(
        self,
        occasions: Sequence[Asked],
        read_card: Callable[[], DealCard],
        directory: Directory,
        account_row: AccountRow,
    ) -> tuple[DealCard | None, list[Decision]]:
        """What the rules that are concerned say; the card is read, and given back, only if there are any."""
        playbook = self._playbook()
        concerned = [(asked, rule) for asked in occasions for rule in candidates(playbook, asked.occasion)]
        if not concerned:
            return None, []
        card = read_card()
        variables = _variables(card, directory)
        zone = ZoneInfo(account_row.timezone)
        return card, [
            Decision(
                rule=rule,
                asked=asked,
                evaluation=evaluate(rule, asked.occasion, variables),
                scope=idempotency_scope(rule, asked.occurrence, asked.at.astimezone(zone).date()),
            )
            for asked, rule in concerned
        ]

    def decide(
        self,
        conn: Connection,
        deal: Deal,
        decision: Decision,
        account_row: AccountRow,
        directory: Directory,
        now: datetime,
    ) -> None:
        """Write down what a rule said and what follows from it, unless it acted in the same scope before."""
        account, rule, asked = deal.account, decision.rule, decision.asked
        stem = f"deal:{deal.id}:{_digest(rule.name)}:{decision.scope}"
        result: str = decision.evaluation.result
        trace = list(decision.evaluation.trace)
        loop = None
        if result == "match":
            repeated = outbox.by_key(conn, account, f"{stem}:0") is not None
            result = "repeated" if repeated else result
            if rule.moves_deals and asked.move is not None:
                loop = loops.found(conn, account, deal.id, rule.name, asked.move, now, moves=not repeated)
        if loop is not None:
            result, trace = "stopped", [*trace, ("круг", loop.told)]
        run_id = runs.add(
            conn,
            account=account,
            deal_id=deal.id,
            rule=rule.name,
            trigger=asked.title,
            event_id=asked.event_id,
            result=result,
            trace=trace,
            at=now,
        )
        if run_id is not None and loop is not None:
            self._alarm(conn, deal, rule, loop, now)
        if run_id is None or result != "match":
            return
        for position, action in enumerate(rule.do):
            effect_id = outbox.add(
                conn,
                account=account,
                key=f"{stem}:{position}",
                rule=rule.name,
                action=action.name,
                params=self._params(action, deal, account_row, directory, now),
                deal_id=deal.id,
                run_id=run_id,
                position=position,
                now=now,
            )
            if effect_id is not None:
                self.enqueue_effect(conn, account, effect_id, run_id)

    def enqueue_effect(self, conn: Connection, account: str, effect_id: int, run_id: int | None) -> None:
        """Put an effect to work; those of one run go in their order."""
        self._queue.enqueue(
            conn, "effect", {"effect_id": effect_id}, account=account, order_key=f"{account}:run:{run_id}"
        )

    def _alarm(self, conn: Connection, deal: Deal, rule: Rule, loop: loops.Loop, now: datetime) -> None:
        """One task a day for one circle of one deal."""
        effect_id = outbox.add(
            conn,
            account=deal.account,
            key=f"loop:{deal.id}:{_digest(' '.join(sorted(loop.rules)))}:{now.date().isoformat()}",
            rule=rule.name,
            action="alarm",
            params={"text": loop.task, "due_at": (now + ALARM_DUE).isoformat()},
            deal_id=deal.id,
            now=now,
        )
        log.warning(
            "rules chase each other: %s",
            loop.told,
            extra={"action": "rules_loop", "account": deal.account, "deal": deal.id},
        )
        if effect_id is not None:
            self.enqueue_effect(conn, deal.account, effect_id, None)

    def _params(
        self, action: Action, deal: Deal, account_row: AccountRow, directory: Directory, now: datetime
    ) -> dict[str, Any]:
        """An action's settings as they are now: a later edit of the playbook touches nothing decided."""
        params: dict[str, Any] = action.model_dump(mode="json")
        if isinstance(action, TaskAction):
            due = due_at(action.due, now, account_row.timezone, self._playbook().working_calendar)
            params["due_at"] = due.isoformat()
        if isinstance(action, UpdateAction) and action.stage is not None:
            stage = target_stage(directory.pipelines.values(), action, deal.pipeline_id)
            # Of a stage that is no more the names stay, for the person who will be told.
            params |= {"pipeline_id": stage.pipeline_id, "stage_id": stage.id} if stage else {}
        return params


def _variables(card: DealCard, directory: Directory) -> Mapping[str, object]:
    deal = card.deal
    pipeline = directory.pipelines.get(deal.pipeline_id)
    stage = directory.stage(deal.pipeline_id, deal.stage_id)
    reason = directory.loss_reasons.get(deal.loss_reason_id or "")
    return facts_of(
        card,
        pipeline_name=pipeline.name if pipeline else "",
        stage_name=stage.name if stage else "",
        loss_reason_name=reason.name if reason else None,
        responsible=directory.users.get(deal.responsible_id or ""),
    )


def _digest(rule_name: str) -> str:
    return hashlib.sha256(rule_name.encode()).hexdigest()[:12]
