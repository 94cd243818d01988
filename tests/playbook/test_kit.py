"""The shipped playbook loads, names only what a usual CRM has, and does what the instruction asks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connector.domain import Outcome
from connector.playbook.check import check_against_crm, check_names
from connector.playbook.evaluate import Move, candidates, evaluate, facts_of
from connector.playbook.load import load_playbook
from connector.playbook.model import SendAction
from connector.reports import REPORTS
from tests.playbook.samples import LOSS_REASONS, PIPELINES, USERS, card

FOLDER = Path(__file__).parents[2] / "templates" / "playbook"
PLAYBOOK = load_playbook(FOLDER)


def test_it_fits_a_usual_crm_and_the_shipped_templates() -> None:
    assert check_against_crm(PLAYBOOK, PIPELINES, USERS, LOSS_REASONS) == []
    found = check_names(
        PLAYBOOK,
        ["proposal", "contract", "invoice", "act"],
        ["welcome", "after_meeting", "invoice_sent", "act_sent"],
        list(REPORTS),
    )
    assert found == []


def actions(
    stage: str,
    *,
    origin: str | None = "Квалификация",
    outcome: Outcome = Outcome.OPEN,
    from_outcome: Outcome = Outcome.OPEN,
    amount: Decimal | None = Decimal(100_000),
    reason: str | None = None,
    pipeline: str = "Продажи",
    channel: str | None = "Сайт",
) -> list[str]:
    """What leaves on a move, rule after rule."""
    move = Move(
        pipeline_name=pipeline,
        stage_name=stage,
        outcome=outcome,
        from_stage_name=origin,
        is_creation=origin is None,
        from_outcome=from_outcome,
    )
    facts = facts_of(card(amount=amount, channel=channel), pipeline, stage, reason, USERS[0])
    matching = [rule for rule in candidates(PLAYBOOK, move) if evaluate(rule, move, facts).result == "match"]
    return [" ".join([action.name, *_details(action)]) for rule in matching for action in rule.do]


def _details(action: object) -> list[str]:
    if isinstance(action, SendAction):
        return [action.message, *action.attach]
    kind, text = getattr(action, "kind", ""), getattr(action, "text", "")
    return [kind] if kind else [text.split()[0].rstrip(",")]


@pytest.mark.parametrize(
    ("stage", "details", "expected"),
    [
        ("Новая заявка", {"origin": None}, ["send welcome", "task Позвонить"]),
        ("Новая заявка", {"origin": None, "channel": None}, ["task Позвонить"]),
        ("Новая заявка", {}, []),
        ("Квалификация", {"origin": "Новая заявка"}, []),
        ("Встреча назначена", {}, ["task Подготовиться"]),
        (
            "Встреча проведена",
            {},
            [
                "document proposal",
                "document contract",
                "send after_meeting proposal contract",
                "task Обсудить",
            ],
        ),
        ("Договор отправлен", {}, ["task Узнать"]),
        ("Счёт выставлен", {}, ["document invoice", "send invoice_sent invoice", "task Проверить"]),
        (
            "Счёт выставлен",
            {"pipeline": "Повторные продажи", "origin": "Потребность"},
            ["document invoice", "send invoice_sent invoice", "task Проверить"],
        ),
        (
            "Успешно реализовано",
            {"outcome": Outcome.WON},
            ["document act", "send act_sent act", "task Позвонить"],
        ),
        ("Успешно реализовано", {"outcome": Outcome.WON, "amount": None}, []),
        ("Закрыто и не реализовано", {"outcome": Outcome.LOST}, ["task Указать"]),
        ("Закрыто и не реализовано", {"outcome": Outcome.LOST, "reason": "Дорого"}, []),
        (
            "Закрыто и не реализовано",
            {"outcome": Outcome.LOST, "reason": "Дорого", "amount": Decimal(500_000)},
            ["task Разобрать"],
        ),
        (
            "Квалификация",
            {"origin": "Закрыто и не реализовано", "from_outcome": Outcome.LOST},
            ["note Клиент"],
        ),
    ],
)
def test_each_stage_starts_what_the_instruction_asks(
    stage: str, details: dict[str, object], expected: list[str]
) -> None:
    assert actions(stage, **details) == expected  # type: ignore[arg-type]


def test_every_rule_is_started_by_some_stage_of_a_usual_crm() -> None:
    started = set()
    for pipeline in PIPELINES:
        for stage in pipeline.stages:
            for origin in (None, *pipeline.stages):
                move = Move(
                    pipeline.name,
                    stage.name,
                    stage.outcome,
                    origin.name if origin else None,
                    origin is None,
                    from_outcome=origin.outcome if origin else None,
                )
                started |= {rule.name for rule in candidates(PLAYBOOK, move)}
    assert started == {rule.name for rule in PLAYBOOK.rules if not rule.when.happens}


def test_the_owner_and_the_head_of_sales_get_their_reports() -> None:
    assert [(r.report, f"{r.at:%H:%M}", r.on, r.to) for r in PLAYBOOK.reports] == [
        ("owner_daily", "09:00", ("working_days",), ("owner",)),
        ("standup", "09:00", ("working_days",), ("head_of_sales",)),
        ("lead_quality", "10:00", ("1", "15"), ("head_of_sales",)),
        ("loss_reasons", "09:30", ("monday",), ("head_of_sales",)),
    ]


@pytest.mark.parametrize("month", [date(2026, 1, 31), date(2031, 7, 1)])
def test_every_month_has_a_target(month: date) -> None:
    target = PLAYBOOK.target_for(month)
    assert target is not None and target.revenue > 0
