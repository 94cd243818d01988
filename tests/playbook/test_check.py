"""The playbook against the CRM's directory and the templates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.playbook.check import check_against_crm, check_names, check_tags
from connector.playbook.load import parse_playbook
from tests.playbook.samples import LOSS_REASONS, PIPELINES, USERS


def rule(when: str, condition: str = "true") -> str:
    return f"rules: [{{name: a, when: {when}, if: {condition}, do: [{{note: b}}]}}]"


#: The sign ¶ stands where the mistake must be found, and is taken out before reading.
CASES = [
    (
        rule("{pipeline: ¶Продажа, created: true}"),
        "правило «a»: в CRM нет воронки «Продажа»; может быть, «Продажи»?",
    ),
    (
        rule("{pipeline: Продажи, enters: ¶Встреча шла}"),
        "правило «a», enters: в воронке «Продажи» нет этапа «Встреча шла»; может быть, «Встреча проведена»?",
    ),
    (
        rule("{enters: [Квалификация, ¶Договор отправили]}"),
        "правило «a», enters: в CRM нет этапа «Договор отправили»; может быть, «Договор отправлен»?",
    ),
    (
        rule("{pipeline: Продажи, leaves: ¶потребность}"),
        "правило «a», leaves: этап «потребность» есть только в воронке «Повторные продажи»",
    ),
    (
        rule("{enters: lost}", "¶deal.loss_reason == 'Дорго'"),
        "правило «a», if: в CRM нет причины отказа «Дорго»; может быть, «Дорого»?",
    ),
    (
        rule("{enters: lost}", "¶deal.loss_reason == 'дорого'"),
        "правило «a», if: в CRM нет причины отказа «дорого»; может быть, «Дорого»?",
    ),
    (
        rule("{enters: lost}", "¶deal.stage == 'Квалификацыя'"),
        "правило «a», if: в CRM нет этапа «Квалификацыя»; может быть, «Квалификация»?",
    ),
    (
        rule("{enters: lost}", "¶deal.outcome == 'loss'"),
        "правило «a», if: нет исхода «loss»; может быть, «lost»?",
    ),
    (
        "people: {owner: {user: ¶Анна Азаров}}",
        "people.owner: в CRM нет пользователя «Анна Азаров»; может быть, «Анна Аз",
    ),
    ("people: {owner: {user: ¶Вера Ветрова}}", "people.owner: пользователь «Вера Ветрова» в CRM отключён"),
    (
        "targets: [{month: every, revenue: 1, split: {Аня Азарова: ¶1}}]",
        "план: в CRM нет пользователя «Аня Азарова»; может быть, «Анна Азарова»?",
    ),
    (
        "stages: [{pipeline: Продажи, key: ¶Потребность}]",
        "этап «Потребность» есть только в воронке «Повторные продажи»",
    ),
    ("stages: [{pipeline: ¶Продаж, key: Квалификация}]", "в CRM нет воронки «Продаж»"),
]


@pytest.mark.parametrize(("text", "message"), CASES)
def test_a_name_that_the_crm_has_not_is_named_with_its_place(text: str, message: str) -> None:
    playbook = parse_playbook(text.replace("¶", ""), "a.yml")
    found = check_against_crm(playbook, PIPELINES, USERS, LOSS_REASONS)
    assert [problem.place for problem in found] == [f"a.yml:1:{text.index('¶') + 1}"]
    assert found[0].message.startswith(message)


def test_names_are_found_whatever_their_case_and_ё() -> None:
    text = rule("{pipeline: ПРОДАЖИ, enters: [счет выставлен, won]}", "deal.loss_reason != 'Дорого'")
    text += "\npeople: {owner: {user: admin}, boss: {email: a@example.ru}}"
    assert check_against_crm(parse_playbook(text), PIPELINES, USERS, LOSS_REASONS) == []


def test_no_administrator_and_namesakes_are_problems() -> None:
    playbook = parse_playbook("people: {owner: {user: admin}, boss: {user: Анна Азарова}}")
    users = [*(user for user in USERS if not user.is_admin), replace(USERS[0], id="99")]
    found = [problem.message for problem in check_against_crm(playbook, PIPELINES, users, ())]
    assert found == [
        "people.owner: в CRM нет активного администратора",
        "people.boss: пользователей «Анна Азарова» несколько; укажите номер или почту",
    ]


def test_templates_that_are_not_there_are_named_with_their_place() -> None:
    playbook = parse_playbook(
        """\
rules:
  - name: a
    when: {enters: won}
    do:
      - document: contrct
      - send: aftr_meeting
        attach: [contrct, materials/case.pdf]
        by: [emale]
people: {owner: {user: admin}}
reports: [{report: ownr_daily, at: 9:00, on: daily, to: owner}]
""",
        "a.yml",
    )
    found = check_names(
        playbook,
        {"contract": 1},
        ["after_meeting"],
        ["owner_daily"],
        materials=["materials/cases.pdf", "pages/case.pdf"],
    )
    assert [str(problem) for problem in found] == [
        "a.yml:5:19  правило «a»: нет шаблона документа «contrct»; может быть, «contract»?",
        "a.yml:6:15  правило «a»: нет шаблона письма «aftr_meeting»; может быть, «after_meeting»?",
        "a.yml:8:14  правило «a»: нет канала «emale»; может быть, «email»?",
        "a.yml:7:27  правило «a»: нет файла «materials/case.pdf»; может быть, «materials/cases.pdf»?",
        "a.yml:10:20  нет отчёта «ownr_daily»; может быть, «owner_daily»?",
    ]


def test_tags_that_a_crm_does_not_have_are_named_before_a_deal_is_changed() -> None:
    text = (
        "rules:\n"
        "  - name: a\n"
        "    when: {created: true}\n"
        "    do:\n"
        "      - note: b\n"
        "      - update: {tags: [новая], stage: Квалификация}\n"
    )
    (problem,) = check_tags(parse_playbook(text, "a.yml"))
    assert problem.place.startswith("a.yml:6:")
    assert "нет тегов" in problem.message
