"""Which moves start which rules, and what the evaluation says."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from connector.domain import Outcome
from connector.playbook.evaluate import Move, candidates, evaluate, facts_of, idempotency_scope
from connector.playbook.load import parse_playbook
from connector.playbook.model import Playbook, Rule, Trigger
from tests.playbook.samples import CARD, USERS, card


def move(stage: str = "Встреча проведена", origin: str | None = "Квалификация", **changes: Any) -> Move:
    defaults: dict[str, Any] = {
        "pipeline_name": "Продажи",
        "outcome": Outcome.OPEN,
        "is_creation": origin is None,
    }
    return Move(stage_name=stage, from_stage_name=origin, **(defaults | changes))


def rule(condition: str | None = None, **when: Any) -> Rule:
    return (
        parse_playbook("rules: [{name: a, when: {created: true}, do: [{note: b}]}]")
        .rules[0]
        .model_copy(update={"when": Trigger(**when), "condition": condition})
    )


WON = move("Оплачено", outcome=Outcome.WON)
LOST = move("Отказ", outcome=Outcome.LOST)
CREATED = move("Встреча проведена", None)
REOPENED = move("Квалификация", "Отказ", from_outcome=Outcome.LOST)
FROM_OTHER = move(origin="Потребность", from_pipeline_name="Повторные продажи")


@pytest.mark.parametrize(
    ("when", "move", "expected"),
    [
        ({"enters": "Встреча проведена"}, move(), True),
        ({"enters": "  встреча  ПРОВЕДЕНА "}, move(), True),
        ({"enters": "Счет выставлен"}, move("Счёт выставлен"), True),
        ({"enters": ["Счёт выставлен", "Встреча проведена"]}, move(), True),
        ({"enters": "Квалификация"}, move(), False),
        ({"enters": "Встреча проведена", "pipeline": "продажи"}, move(), True),
        ({"enters": "Встреча проведена", "pipeline": "Повторные продажи"}, move(), False),
        ({"enters": "won"}, WON, True),
        ({"enters": "won"}, LOST, False),
        ({"enters": "Lost"}, LOST, True),
        ({"enters": "won"}, move("won", outcome=Outcome.OPEN), False),
        ({"enters": "won"}, move("", outcome=None), False),
        ({"enters": "Встреча проведена"}, CREATED, True),
        ({"created": True}, CREATED, True),
        ({"created": True}, move(), False),
        ({"created": True, "enters": "Квалификация"}, CREATED, False),
        ({"leaves": "Квалификация"}, move(), True),
        ({"leaves": "Встреча проведена"}, move(), False),
        ({"leaves": "Встреча проведена"}, CREATED, False),
        ({"leaves": "lost"}, REOPENED, True),
        ({"leaves": "lost"}, move(), False),
        ({"leaves": "Квалификация", "enters": "won"}, WON, True),
        ({"leaves": "Квалификация", "enters": "won"}, LOST, False),
        ({"leaves": "Потребность", "pipeline": "Повторные продажи"}, FROM_OTHER, True),
        ({"leaves": "Потребность", "pipeline": "Продажи"}, FROM_OTHER, False),
        ({"enters": "Встреча проведена", "pipeline": "Продажи"}, FROM_OTHER, True),
    ],
)
def test_triggers_match_moves(when: dict[str, Any], move: Move, expected: bool) -> None:
    tried = rule(**when)
    assert candidates(Playbook(rules=(tried,)), move) == ([tried] if expected else [])
    assert evaluate(tried, move, {}).result == ("match" if expected else "no_match")


FACTS = facts_of(CARD, "Продажи", "Встреча проведена", None, USERS[0])


def test_a_match_tells_trigger_data_and_answer() -> None:
    answer = evaluate(rule("deal.amount > 0", enters="Встреча проведена", pipeline="Продажи"), move(), FACTS)
    assert answer.result == "match"
    assert answer.trace == [
        ("when.pipeline: Продажи", True),
        ("when.enters: Встреча проведена", True),
        ("deal.amount", "120000.50"),
        ("deal.amount > 0", True),
        ("if", True),
    ]


def test_a_move_that_does_not_fit_says_where() -> None:
    answer = evaluate(rule(enters="Квалификация", pipeline="Продажи"), move(), FACTS)
    assert (answer.result, answer.trace[-1]) == ("no_match", ("when.enters: Квалификация", False))


@pytest.mark.parametrize(
    "condition", ['deal.loss_reason > "а"', 'not deal.loss_reason > "а"', "deal.nothing"]
)
def test_a_condition_that_fails_is_an_error_with_its_reason(condition: str) -> None:
    answer = evaluate(rule(condition, enters="Встреча проведена"), move(), FACTS)
    assert answer.result == "error"
    assert str(answer.trace[-1][1]).startswith("ошибка: ")


def test_missing_facts_are_an_error_not_a_no() -> None:
    assert evaluate(rule("not deal.loss_reason", enters="Встреча проведена"), move(), {}).result == "error"


def test_the_trace_is_fit_for_the_store() -> None:
    condition = (
        '"vip" in deal.tags and deal.tags and deal.amount and deal.fields["Отрасль"] and not deal.loss_reason'
    )
    answer = evaluate(rule(condition, enters="Встреча проведена"), move(), FACTS)
    assert answer.result == "match"
    assert json.loads(json.dumps(answer.trace)) == [list(entry) for entry in answer.trace]


def test_an_empty_amount_is_zero_and_no_error() -> None:
    facts = facts_of(card(amount=None), "Продажи", "Встреча проведена", None, None)
    assert evaluate(rule("deal.amount > 0", enters="Встреча проведена"), move(), facts).result == "no_match"


@pytest.mark.parametrize(
    ("repeat", "scope"),
    [("once_per_deal", "deal"), ("every_entry", "entry:1/21:3"), ("once_per_day", "day:2026-11-24")],
)
def test_repeat_decides_within_what_a_rule_acts_once(repeat: str, scope: str) -> None:
    tried = rule(created=True).model_copy(update={"repeat": repeat})
    assert idempotency_scope(tried, "1/21:3", date(2026, 11, 24)) == scope
