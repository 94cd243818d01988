"""The stage that a rule moves deals to, and rules whose moves undo each other. Pure.

A circle is certain only where no rule in it has a condition: with conditions it may never close, and what
does is stopped when it happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from connector.domain import Outcome, Pipeline, Stage
from connector.errors import Problem
from connector.playbook.evaluate import Move, matches
from connector.playbook.model import OUTCOMES, Playbook, Rule, StageMarks, UpdateAction
from connector.playbook.words import fold, same


def target_stage(
    pipelines: Iterable[Pipeline], action: UpdateAction, pipeline_id: str | None = None
) -> Stage | None:
    """The stage that `action` means: of the pipeline that it names, else of the one that the deal is in, else
    of the only one that has such a stage. None when there is no such stage."""
    searched = [p for p in pipelines if action.pipeline is None or same(p.name, action.pipeline)]
    found = [stage for pipeline in searched for stage in pipeline.stages if _is_meant(action, stage)]
    own = [stage for stage in found if stage.pipeline_id == pipeline_id]
    return next(iter(own or found), None)


def marked(
    pipelines: Iterable[Pipeline], marks: Sequence[StageMarks]
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """(pipeline id, stage id) of the stages that are qualified, and of those that are key.

    All open and won ones from the named stage on, each pipeline by its own entry, else by the common one.
    """
    qualified: set[tuple[str, str]] = set()
    key: set[tuple[str, str]] = set()
    for pipeline in pipelines:
        own = [one for one in marks if one.pipeline is not None and same(one.pipeline, pipeline.name)]
        for one in own or [one for one in marks if one.pipeline is None]:
            qualified |= _from(pipeline, one.qualified)
            key |= _from(pipeline, one.key)
    return qualified, key


def _from(pipeline: Pipeline, name: str | None) -> set[tuple[str, str]]:
    first = next((stage for stage in pipeline.stages if name is not None and same(stage.name, name)), None)
    if first is None:
        return set()
    return {
        (pipeline.id, stage.id)
        for stage in pipeline.stages
        if stage.outcome is not Outcome.LOST and stage.sort >= first.sort
    }


def _is_meant(action: UpdateAction, stage: Stage) -> bool:
    word = action.stage or ""
    return stage.outcome == fold(word) if fold(word) in OUTCOMES else same(stage.name, word)


def circles(playbook: Playbook, pipelines: Sequence[Pipeline] = ()) -> Iterator[Problem]:
    """Each circle of rules that move a deal back and forth for ever, told at the first of them.

    pipelines: to know which stages are won and lost; without them names alone are compared.
    """
    rules = [rule for rule in playbook.rules if rule.moves_deals and rule.condition is None]
    follows = {
        index: [other for other, next_one in enumerate(rules) if _starts(rule, next_one, pipelines)]
        for index, rule in enumerate(rules)
    }
    told: set[frozenset[int]] = set()
    for start in range(len(rules)):
        way = _way_back(start, follows)
        if way and frozenset(way) not in told:
            told.add(frozenset(way))
            yield _problem([rules[index] for index in way])


def _way_back(start: int, follows: dict[int, list[int]]) -> list[int]:
    """The shortest way from a rule over others back to it; empty when there is none."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop(0)
        for after in follows[way[-1]]:
            if after == start and len(way) > 1:
                return way
            if after not in seen:
                seen.add(after)
                ways.append([*way, after])
    return []


def _starts(rule: Rule, other: Rule, pipelines: Sequence[Pipeline]) -> bool:
    """Whether the move that `rule` makes satisfies what starts `other`."""
    return any(
        matches(other.when, move)
        for action in rule.do
        if isinstance(action, UpdateAction) and action.stage
        for move in _moves(rule, action, pipelines)
    )


def _moves(rule: Rule, action: UpdateAction, pipelines: Sequence[Pipeline]) -> Iterator[Move]:
    """The moves that `action` may make: from each stage in which `rule` may find the deal."""
    stage = target_stage(pipelines, action)
    pipeline = action.pipeline or rule.when.pipeline or ""
    for origin in rule.when.enters or (None,):
        if origin is not None and same(origin, action.stage or ""):
            continue  # it stands there already
        yield Move(
            pipeline_name=pipeline,
            stage_name=stage.name if stage else action.stage or "",
            outcome=stage.outcome if stage else None,
            from_stage_name=origin or "",
            is_creation=False,
            from_pipeline_name=rule.when.pipeline or pipeline,
        )


def _problem(way: Sequence[Rule]) -> Problem:
    steps = [
        f"«{rule.name}» ({rule.place}) переводит на «{next(_targets(rule))}»" for rule in (*way[1:], way[0])
    ]
    first, *rest = (steps[-1], *steps[:-1])
    return Problem(
        way[0].place,
        f"правила гоняют сделку по кругу: {first}, {', '.join(rest)}. Уберите один из переходов или добавьте "
        "условие if, при котором круг не замкнётся",
    )


def _targets(rule: Rule) -> Iterator[str]:
    return (action.stage for action in rule.do if isinstance(action, UpdateAction) and action.stage)
