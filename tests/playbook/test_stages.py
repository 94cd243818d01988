"""Rules whose moves undo each other are named with both their places; what may never close is left alone."""

from __future__ import annotations

import pytest

from connector.domain import Outcome
from connector.playbook.check import check_against_crm, check_fields, check_names
from connector.playbook.load import parse_playbook
from connector.playbook.model import Playbook, UpdateAction
from connector.playbook.stages import circles, marked, target_stage
from tests.playbook.samples import LOSS_REASONS, PIPELINES, USERS

THERE = "{name: Туда, when: {enters: Квалификация}, do: [{update: {stage: Договор отправлен}}]}"
BACK = "{name: Обратно, when: {enters: договор  отправлен}, do: [{update: {stage: Квалификация}}]}"


def book(*rules: str) -> Playbook:
    return parse_playbook("rules:\n" + "".join(f"  - {rule}\n" for rule in rules))


def test_two_rules_that_chase_each_other_are_named_with_their_places() -> None:
    (problem,) = circles(book(THERE, BACK))
    assert problem.place == "playbook.yml:2:5"
    assert "«Туда» (playbook.yml:2:5) переводит на «Договор отправлен»" in problem.message
    assert "«Обратно» (playbook.yml:3:5) переводит на «Квалификация»" in problem.message


def test_circle_of_three_and_one_over_an_outcome_are_seen() -> None:
    third = "{name: Дальше, when: {enters: Договор отправлен}, do: [{update: {stage: Счёт выставлен}}]}"
    last = "{name: Назад, when: {leaves: Договор отправлен}, do: [{update: {stage: Квалификация}}]}"
    assert len(list(circles(book(THERE, third, last)))) == 1
    won = "{name: Выиграна, when: {enters: Квалификация}, do: [{update: {stage: won}}]}"
    reopened = "{name: Снова, when: {enters: Успешно реализовано}, do: [{update: {stage: Квалификация}}]}"
    assert list(circles(book(won, reopened))) == [], "without the CRM nobody knows which stage is won"
    assert len(list(circles(book(won, reopened), PIPELINES))) == 1


@pytest.mark.parametrize(
    "other",
    [
        BACK.replace("do:", "if: deal.amount > 5, do:"),
        BACK.replace("{enters:", "{pipeline: Повторные продажи, enters:"),
        BACK.replace("stage: Квалификация", "stage: Счёт выставлен"),
        "{name: Пишет, when: {enters: Договор отправлен}, do: [{note: привет}]}",
    ],
    ids=["condition", "another pipeline", "another stage", "moves nothing"],
)
def test_what_closes_no_circle_is_no_mistake(other: str) -> None:
    there = THERE.replace("{enters:", "{pipeline: Продажи, enters:")
    assert list(circles(book(there, other))) == []


def test_circle_stops_the_start_and_the_check() -> None:
    assert check_names(book(THERE, BACK), (), (), ())
    assert check_against_crm(book(THERE, BACK), PIPELINES, USERS, LOSS_REASONS)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ("stage: Договр отправлен", "в CRM нет этапа «Договр отправлен»; может быть, «Договор отправлен»?"),
        ("stage: won, pipeline: Продажа", "в CRM нет воронки «Продажа»; может быть, «Продажи»?"),
        ("stage: Потребность, pipeline: Продажи", "этап «Потребность» есть только в воронке «Повторные"),
        ("responsible: Аня Азарова", "нет ни роли, ни пользователя «Аня Азарова»; может быть, «Анна"),
        ("responsible: Вера Ветрова", "пользователь «Вера Ветрова» в CRM отключён"),
    ],
)
def test_names_that_the_crm_lacks_are_named(update: str, message: str) -> None:
    rule = f"{{name: a, when: {{enters: Квалификация}}, do: [{{update: {{{update}}}}}]}}"
    (problem,) = check_against_crm(book(rule), PIPELINES, USERS, LOSS_REASONS)
    assert message in problem.message
    assert problem.place.startswith("playbook.yml:2:")


def test_fields_that_deals_lack_are_named() -> None:
    rule = "{name: a, when: {enters: Квалификация}, do: [{update: {fields: {Отрасль: чай, Горд: Псков}}}]}"
    (problem,) = check_fields(book(rule), ["Отрасль", "Город"])
    assert "в CRM нет поля сделки «Горд»; может быть, «Город»?" in problem.message


def test_stage_is_looked_for_where_the_deal_is() -> None:
    action = UpdateAction(stage="счет выставлен")
    found = target_stage(PIPELINES, action, "2")
    assert found is not None
    assert (found.pipeline_id, found.name) == ("2", "Счёт выставлен")
    assert target_stage(PIPELINES, UpdateAction(stage="won", pipeline="Продажи"), "2").pipeline_id == "1"  # type: ignore[union-attr]
    assert target_stage(PIPELINES, UpdateAction(stage="Нет такого")) is None


def test_marked_stages_are_the_named_one_and_all_after_it_but_the_lost() -> None:
    marks = parse_playbook("stages: [{pipeline: Продажи, qualified: Встреча проведена}]").stages
    sales = next(pipeline for pipeline in PIPELINES if pipeline.name == "Продажи")
    qualified, key = marked(PIPELINES, marks)
    names = [stage.name for stage in sales.stages if (sales.id, stage.id) in qualified]
    open_names = [stage.name for stage in sales.stages if stage.outcome is Outcome.OPEN]
    assert names[:-1] == open_names[open_names.index("Встреча проведена") :]
    assert [stage.outcome for stage in sales.stages if stage.name == names[-1]] == [Outcome.WON]
    assert {pipeline_id for pipeline_id, _ in qualified} == {sales.id}
    assert key == set()


def test_a_pipeline_with_an_entry_of_its_own_leaves_the_common_one() -> None:
    text = "stages: [{key: Счёт выставлен}, {pipeline: повторные продажи, key: Потребность}]"
    repeat = next(pipeline for pipeline in PIPELINES if pipeline.name == "Повторные продажи")
    _, key = marked(PIPELINES, parse_playbook(text).stages)
    assert {stage_id for pipeline_id, stage_id in key if pipeline_id == repeat.id} == {
        stage.id for stage in repeat.stages if stage.outcome is not Outcome.LOST
    }
