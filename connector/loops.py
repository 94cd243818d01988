"""Rules that chase each other: seen from the moves that we made on a deal, and told in words.

Two things stop a rule that would move a deal: it already stands in the chain of rules that led to this move,
or the deal has been moved by us too often within the hour, whoever moved it in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from connector.domain import StageChange
from connector.store import facts, outbox, runs

#: So many rules may follow from each other's moves.
LONGEST_CHAIN = 4

#: So many moves of one deal may be ours within the window.
MOVES_ALLOWED = 5
WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Loop:
    """Why a rule was stopped. `rules`: names of those concerned; `told`: in short; `task`: for a person."""

    rules: tuple[str, ...]
    told: str
    task: str


def found(
    conn: Connection,
    account: str,
    deal_id: str,
    rule: str,
    move: StageChange,
    now: datetime,
    *,
    moves: bool,
) -> Loop | None:
    """Why `rule` must not move the deal on this move; None when it may.

    moves: False when it has acted before and would not act anyway; then only a circle is told.
    """
    own = facts.own_changes(conn, account, deal_id)
    chain = _chain(conn, account, deal_id, own, move.event_id)
    if rule in chain or len(chain) >= LONGEST_CHAIN:
        way = " → ".join(f"«{name}»" for name in (*chain, rule))
        return Loop(
            tuple(dict.fromkeys((*chain, rule))),
            way,
            f"Правила гоняют сделку по кругу: {way}. Коннектор остановился. "
            "Измените одно из этих правил, чтобы оно не отменяло другое, и проверьте этап сделки.",
        )
    if not moves:
        return None
    changes = facts.changes_of(conn, account, deal_id)
    lately = [change for change in changes if change.event_id in own and change.at > now - WINDOW]
    if len(lately) < MOVES_ALLOWED:
        return None
    names = {effect.id: effect.rule for effect in outbox.of_deal(conn, account, deal_id)}
    rules = tuple(dict.fromkeys([*(names.get(own[change.event_id], "") for change in lately), rule]))
    listed = ", ".join(f"«{name}»" for name in rules if name)
    return Loop(
        rules,
        f"за час уже {len(lately)} переходов по правилам: {listed}",
        f"За час правила перевели сделку {len(lately)} раз: {listed}. Похоже, их переходы кто-то отменяет: "
        "другое правило, робот или интеграция. Коннектор остановился. Найдите, кто возвращает сделку, "
        "и проверьте её этап.",
    )


def _chain(
    conn: Connection, account: str, deal_id: str, own: dict[str, int], event_id: str
) -> tuple[str, ...]:
    """The rules whose moves led to that one, the first cause first."""
    effects = {effect.id: effect for effect in outbox.of_deal(conn, account, deal_id)}
    causes = {run.id: run.event_id for run in runs.of_deal(conn, account, deal_id)}
    names: list[str] = []
    while len(names) <= LONGEST_CHAIN and (effect := effects.get(own.get(event_id, 0))) is not None:
        names.append(effect.rule)
        event_id = causes.get(effect.run_id or 0, "")
    return tuple(reversed(names))
