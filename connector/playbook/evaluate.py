"""Which rules a move concerns, and what each of them says about it. Pure: no clock, no store, no CRM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from connector.domain import Outcome
from connector.playbook.condition import ConditionError, Trace, compile_condition, holds
from connector.playbook.facts import CONDITION_VARIABLES, facts_of
from connector.playbook.language import BadCondition
from connector.playbook.model import OUTCOMES, Playbook, Rule, Trigger
from connector.playbook.words import fold, same

__all__ = [
    "CONDITION_VARIABLES",
    "Called",
    "Evaluation",
    "Happened",
    "Move",
    "Occasion",
    "candidates",
    "evaluate",
    "facts_of",
    "idempotency_scope",
    "matches",
]


@dataclass(frozen=True, slots=True)
class Move:
    """A stage change in the names that people see.

    `from_stage_name` is None for the creation. `from_pipeline_name` None means the same pipeline;
    `from_outcome` None means open.
    """

    pipeline_name: str
    stage_name: str
    outcome: Outcome | None
    from_stage_name: str | None
    is_creation: bool
    from_pipeline_name: str | None = None
    from_outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that we learnt ourselves of a deal: one of `HAPPENINGS`. `document` is the kind of the
    document that it is about, "" for none.
    """

    what: str
    pipeline_name: str
    document: str = ""


@dataclass(frozen=True, slots=True)
class Called:
    """A robot of the CRM asked for the rule of that name: its own `when` does not matter then."""

    rule: str


#: What may start a rule.
Occasion = Move | Happened | Called


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a rule says of a move, and all that it looked at on the way, in order; fit for JSON."""

    result: Literal["match", "no_match", "error"]
    trace: Trace = field(default_factory=list)


def candidates(playbook: Playbook, occasion: Occasion) -> list[Rule]:
    """The rules that the occasion concerns, in the playbook's order."""
    if isinstance(occasion, Called):
        return [rule for rule in playbook.rules if same(rule.name, occasion.rule)]
    return [rule for rule in playbook.rules if matches(rule.when, occasion)]


def matches(trigger: Trigger, occasion: Move | Happened, trace: Trace | None = None) -> bool:
    """Whether the occasion satisfies everything that the trigger says."""
    seen: Trace = [] if trace is None else trace
    if isinstance(occasion, Happened):
        return _fits_happening(trigger, occasion, seen)
    return not trigger.happens and _fits_move(trigger, occasion, seen)


def _fits_happening(trigger: Trigger, happened: Happened, seen: Trace) -> bool:
    asked: list[tuple[str, bool]] = [
        (f"when.happens: {', '.join(trigger.happens)}", happened.what in trigger.happens)
    ]
    if trigger.document is not None:
        asked.append((f"when.document: {trigger.document}", happened.document == trigger.document))
    if trigger.pipeline is not None:
        asked.append((f"when.pipeline: {trigger.pipeline}", same(happened.pipeline_name, trigger.pipeline)))
    for what, fits in asked:
        seen.append((what, fits))
        if not fits:
            return False
    return True


def _fits_move(trigger: Trigger, move: Move, seen: Trace) -> bool:
    """Whether the move satisfies everything that the trigger says.

    A deal that is created on a stage enters it. `pipeline` is the one of the stage that is named: for
    `leaves` the pipeline that was left, for `enters` and `created` the one that the deal is in.
    """
    left = move.from_pipeline_name or move.pipeline_name
    if trigger.pipeline is not None:
        sides = [left] if trigger.leaves else []
        sides += [move.pipeline_name] if trigger.enters or trigger.created else []
        fits = all(same(side, trigger.pipeline) for side in sides)
        seen.append((f"when.pipeline: {trigger.pipeline}", fits))
        if not fits:
            return False
    if trigger.created:
        seen.append(("when.created", move.is_creation))
        if not move.is_creation:
            return False
    if trigger.enters:
        fits = _is_among(move.stage_name, move.outcome, trigger.enters)
        seen.append((f"when.enters: {', '.join(trigger.enters)}", fits))
        if not fits:
            return False
    if trigger.leaves:
        fits = not move.is_creation and _is_among(move.from_stage_name, move.from_outcome, trigger.leaves)
        seen.append((f"when.leaves: {', '.join(trigger.leaves)}", fits))
        if not fits:
            return False
    return True


def evaluate(rule: Rule, occasion: Occasion, facts: Mapping[str, object]) -> Evaluation:
    """What the rule says of the occasion; `facts` are those of `facts_of`.

    A condition that cannot be computed gives «error», whatever stands around the part that failed.
    """
    trace: Trace = []
    if isinstance(occasion, Called):
        trace.append(("вызвано роботом", same(rule.name, occasion.rule)))
    elif not matches(rule.when, occasion, trace):
        return Evaluation("no_match", trace)
    if rule.condition is None:
        return Evaluation("match", trace)
    try:
        fits = holds(compile_condition(rule.condition), facts, trace)
    except (ConditionError, BadCondition) as error:
        trace.append(("if", f"ошибка: {error}"))
        return Evaluation("error", trace)
    trace.append(("if", fits))
    return Evaluation("match" if fits else "no_match", trace)


def idempotency_scope(rule: Rule, occurrence: int | str, local_day: date) -> str:
    """Within what the rule acts once on a deal: a part of its effects' idempotency key.

    occurrence: which entry of the deal into that stage this is, counted from 1, or which happening.
    local_day: its day in the account's zone.
    """
    match rule.repeat:
        case "once_per_deal":
            return "deal"
        case "every_entry":
            return f"entry:{occurrence}"
        case "once_per_day":
            return f"day:{local_day.isoformat()}"


def _is_among(stage: str | None, outcome: Outcome | None, words: Iterable[str]) -> bool:
    """Whether one of the words is the stage's name or its outcome (`won`, `lost`)."""
    return any(
        outcome == fold(word) if fold(word) in OUTCOMES else stage is not None and same(stage, word)
        for word in words
    )
