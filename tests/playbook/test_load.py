"""Mistakes in playbook files: each is named with its place, all of them at once."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import ConfigError
from connector.playbook.load import load_playbook, parse_playbook
from connector.playbook.model import DocumentAction, NoteAction, SendAction, TaskAction

RULE = """\
rules:
  - name: После встречи
    when: {pipeline: Продажи, enters: Встреча проведена}
    if: deal.amount > 0
    do:
      - document: contract
      - send: after_meeting
        attach: [contract, materials/cases.pdf]
      - task: {text: Обсудить договор, due: 1 working day}
      - note: Договор ушёл
"""


def problems_in(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as raised:
        parse_playbook(text, "a.yml")
    return [(problem.place, problem.message) for problem in raised.value.problems]


def test_a_rule_is_read_with_its_actions_and_defaults() -> None:
    (rule,) = parse_playbook(RULE, "a.yml").rules
    assert (rule.name, rule.when.pipeline, rule.when.enters) == (
        "После встречи",
        "Продажи",
        ("Встреча проведена",),
    )
    assert (rule.condition, rule.repeat, rule.place) == ("deal.amount > 0", "once_per_deal", "a.yml:2:5")
    assert rule.place_of("do", 1, "attach", 0) == "a.yml:8:18"
    assert rule.do == (
        DocumentAction(kind="contract", id="contract"),
        SendAction(
            message="after_meeting", attach=("contract", "materials/cases.pdf"), by=("email",), to="client"
        ),
        TaskAction(text="Обсудить договор", due="1 working day", to="responsible"),
        NoteAction(text="Договор ушёл"),
    )


def test_a_task_may_carry_its_settings_inside_or_beside() -> None:
    inside = parse_playbook("rules: [{name: a, when: {created: true}, do: [{task: {text: b, due: 2 часа}}]}]")
    beside = parse_playbook("rules: [{name: a, when: {created: да}, do: [{task: b, due: 2 часа}]}]")
    assert inside.rules[0].do == beside.rules[0].do == (TaskAction(text="b", due="2 часа"),)


def test_other_sections_are_read() -> None:
    playbook = parse_playbook("""
people:
  owner: {user: admin}
  Бухгалтер: {email: money@example.ru}
calendar: {hours: 10:00-19:00, days_off: [31.12.2026], working_days: [2026-12-26]}
targets:
  - {month: every, revenue: 1}
  - {month: 2026-12, revenue: 10 000 000.50, split: {Анна: 40, Борис: 12.5}}
reports:
  - {report: owner_daily, at: 09:00, on: working_days, to: owner}
  - {report: owner_daily, name: вечер, at: 9:05, on: [Понедельник, friday], to: [Бухгалтер]}
  - {report: lead_quality, at: "10:00", on: [1st, 15, last], to: [owner]}
""")
    assert playbook.people.owner is not None and playbook.people.owner.user == "admin"
    assert playbook.people.get("Бухгалтер") is not None
    assert playbook.people.head_of_sales is None
    assert playbook.calendar.hours == (time(10), time(19))
    assert playbook.calendar.days_off == (date(2026, 12, 31),)
    own, every = playbook.target_for(date(2026, 12, 9)), playbook.target_for(date(2027, 2, 28))
    assert own is not None and own.revenue == Decimal("10000000.50")
    assert own.split == {"Анна": Decimal(40), "Борис": Decimal("12.5")}
    assert every is not None and (every.month, every.revenue) == (date(2027, 2, 1), Decimal(1))
    assert [(report.name, report.on) for report in playbook.reports] == [
        ("owner_daily", ("working_days",)),
        ("вечер", ("monday", "friday")),
        ("lead_quality", ("1", "15", "last")),
    ]


def rule(**changes: str) -> str:
    parts = {"name": "a", "when": "{enters: Б}", "do": "[{note: в}]"} | changes
    return "rules:\n- {" + ", ".join(f"{key}: {value}" for key, value in parts.items()) + "}\n"


#: The sign ¶ stands where the mistake must be found, and is taken out before reading.
MISTAKES = [
    ("¶ruls: []", "неизвестный ключ «ruls»; может быть, «rules»?"),
    ("¶- a", "нужны разделы: rules, targets, staff, reports, people, calendar"),
    (
        "targets: [{month: every, revenue: 1, kpi: {¶meeting: 5}}]",
        "targets[1].kpi.meeting: неизвестный ключ «meeting»; может быть, «meetings»?",
    ),
    (
        "targets: [{month: every, revenue: 1, kpi: ¶воронка}]",
        "targets[1].kpi: «воронка»: нужны числа по показателям, например {meetings: 120}, или слово funnel",
    ),
    (
        "targets: [{month: every, revenue: 1, kpi: {calls: ¶0.5}}]",
        "targets[1].kpi.calls: «0.5»: нужно целое число больше нуля",
    ),
    (
        "staff: [{user: Анна, vacation: ¶20.12.2026-07.12.2026}]",
        "staff[1].vacation: «20.12.2026-07.12.2026»: последний день раньше первого",
    ),
    (
        "staff: [{user: Анна, since: 01.12.2026, ramp: ¶[50, 200]}]",
        "staff[1].ramp: «200»: нужен процент от 0 до 100",
    ),
    ("staff: [¶{user: Анна, ramp: [50]}]", "staff[1]: ramp: к разгону нужен since, первый день работы"),
    ("rules: ¶{a: b}", "rules: нужен список, каждый пункт с «- »"),
    ("rules: [¶text]", "rules[1]: нужен набор «ключ: значение», например {name: …, when: …"),
    (rule(**{"¶wen": "x"}), "rules[1].wen: неизвестный ключ «wen»; может быть, «when»?"),
    (rule(name='¶""'), "rules[1].name: пусто"),
    (rule(name="¶'" + "я" * 121 + "'"), "rules[1].name: длиннее 120 знаков"),
    (rule(name="¶~"), "rules[1].name: пусто; впишите значение или уберите строку"),
    (rule(name="¶[a]"), "rules[1].name: нужен текст"),
    (rule(when="¶{}"), "rules[1].when: не сказано, когда: нужно enters, leaves, created: true или happens"),
    (rule(when="¶{created: true, leaves: Б}"), "rules[1].when: created и leaves вместе невозможны"),
    (rule(when="{created: ¶mb}"), "rules[1].when.created: «mb»: нужно true или false"),
    (rule(when="{enters: ¶[Б, б]}"), "rules[1].when.enters: «б» повторено"),
    (
        rule(repeat="¶once_per_dael"),
        "rules[1].repeat: недопустимое значение «once_per_dael»; может быть, «once_per_",
    ),
    (
        rule(**{"if": "¶deal.amout > 0"}),
        "rules[1].if: неизвестная переменная «deal.amout»; может быть, «deal.am",
    ),
    (rule(**{"if": "¶~"}), "rules[1].if: пусто"),
    (rule(do="[]").replace("- {", "- ¶{"), "rules[1]: do: не названо ни одно действие"),
    (
        rule(do="[¶{send_mesage: a}]"),
        "rules[1].do[1]: неизвестное действие «send_mesage»; может быть, «send»?",
    ),
    (rule(do="[¶{xyz: a}]"), "rules[1].do[1]: нет действия; есть: document, send, task, note"),
    (rule(do="[{note: a, ¶foo: b}]"), "rules[1].do[1].foo: неизвестный ключ «foo»; есть: note"),
    (
        rule(do="[{send: a, ¶note: b}]"),
        "rules[1].do[1].note: второе действие в одном пункте: поставьте перед «note»",
    ),
    (rule(do="[{document: ¶Договор}]"), "rules[1].do[1].document: «Договор»: нужны строчные латинские буквы"),
    (rule(do="[{send: a, to: ¶~}]"), "rules[1].do[1].to: пусто"),
    (
        rule(do="[{send: a, to: ¶boss}]"),
        "правило «a», send.to: в разделе people нет роли «boss»; есть: client, resp",
    ),
    (rule(do="[{send: ¶a, by: []}]"), "rules[1].do[1].send: by: не назван ни один канал"),
    (
        rule(do="[{send: a, attach: [¶b]}]"),
        "правило «a», attach: выше в этом правиле нет «document: b»; документы правила: ни одного",
    ),
    (
        rule(do="[{document: contract}, {send: a, attach: [¶contrct]}]"),
        "правило «a», attach: выше в этом правиле нет «document: contrct»; документы правила: contract",
    ),
    (
        rule(do="[{send: a, attach: [¶b]}, {document: b}]"),
        "правило «a», attach: выше в этом правиле нет «document: b»",
    ),
    (
        rule(do="[{send: a, attach: [¶materials/../x]}]"),
        "правило «a», attach: «materials/../x»: нужен файл из папки",
    ),
    (
        rule(do="[{document: b}, {document: ¶b}]"),
        "правило «a»: документ «b» уже есть; различите их ключом id",
    ),
    (
        rule(do="[{task: {text: a, due: ¶1 woking day}}]"),
        "rules[1].do[1].task.due: непонятный срок «1 woking day»; м",
    ),
    (
        rule(do="[{task: {text: Узнать, ¶оплачено, due: 2 hours}}]"),
        "rules[1].do[1].task.оплачено: неизвестный ключ",
    ),
    (rule(do="[{task: ¶{text: a}, text: b}]"), "rules[1].do[1].task: «text» сказано дважды"),
    (rule(do="[{task: a, to: ¶boss}]"), "правило «a», task.to: в разделе people нет роли «boss»"),
    (rule(do="[{task: {text: a, to: ¶boss}}]"), "правило «a», task.to: в разделе people нет роли «boss»"),
    ("targets: [{month: ¶2026-13, revenue: 1}]", "targets[1].month: «2026-13»: такой даты нет"),
    (
        "targets: [{month: 2026-12, revenue: ¶0}]",
        "targets[1].revenue: сумма «0»: нужно число больше нуля, до копеек",
    ),
    (
        "targets: [{month: 2026-12, revenue: ¶1e9}]",
        "targets[1].revenue: сумма «1e9»: нужно число, например 10 000",
    ),
    (
        "targets: [{month: 2026-12, revenue: 1, split: {А: ¶-1}}]",
        "targets[1].split.А: доля «-1»: нужно число больше",
    ),
    (
        "reports: [{report: a, at: ¶24:00, on: daily, to: client}]\npeople: {client2: {user: a}}",
        "reports[1].at: вре",
    ),
    (
        "people: {b: {user: c}}\nreports: [{report: a, at: 9:00, on: ¶dayly, to: b}]",
        "reports[1].on: неизвестный день",
    ),
    (
        "people: {b: {user: c}}\nreports: [{report: a, at: 9:00, on: ¶[monday, 1st], to: b}]",
        "reports[1].on: нельзя см",
    ),
    (
        "reports: [{report: a, at: 9:00, on: daily, to: ¶own}]\npeople: {owner: {user: a}}",
        "отчёт «a», to: в разделе",
    ),
    ("people: {owner: ¶{}}", "people.owner: нужно user (имя пользователя CRM) или email"),
    ("people: {owner: {email: ¶a}}", "people.owner.email: «a»: нужен адрес электронной почты"),
    ("people: {¶Client: {user: a}}", "people.Client: это слово занято, назовите роль иначе"),
    (
        "calendar: {hours: ¶18:00-9:00}",
        "calendar.hours: рабочие часы «18:00-9:00»: конец должен быть позже начала",
    ),
    ("calendar: {days_off: [¶30.02.2026]}", "calendar.days_off[1]: «30.02.2026»: такой даты нет"),
    (
        "calendar: ¶{days_off: [1.12.2026], working_days: [1.12.2026]}",
        "calendar: 01.12.2026 назван и выходным, и рабочим",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    before = text[: text.index("¶")].split("\n")
    found = problems_in(text.replace("¶", ""))
    assert [place for place, _ in found] == [f"a.yml:{len(before)}:{len(before[-1]) + 1}"]
    assert found[0][1].startswith(message)


def test_all_mistakes_come_at_once_in_the_order_of_lines() -> None:
    found = problems_in("""\
rules:
  - nme: a
    when: {enter: Б}
    do: [{nte: в}]
  - name: б
    if: foo and deal.amout
targets: x
""")
    assert [place for place, _ in found] == [
        *("a.yml:2:5", "a.yml:2:5", "a.yml:3:12", "a.yml:4:10"),
        *("a.yml:5:5", "a.yml:5:5", "a.yml:6:9", "a.yml:6:9", "a.yml:7:10"),
    ]


def test_an_unquoted_comma_in_a_text_is_explained() -> None:
    ((_, message),) = problems_in(rule(do="[{task: {text: Узнать, оплачен ли счёт, due: 2 hours}}]"))
    assert message.endswith('возьмите весь текст в прямые кавычки: "…"')


def test_what_must_be_unique_is_so_over_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "playbook"
    folder.mkdir()
    text = rule() + "people: {owner: {user: a}}\ncalendar: {}\ntargets: [{month: 2026-12, revenue: 1}]\n"
    text += "reports: [{report: r, at: 9:00, on: daily, to: owner}]\n"
    (folder / "1.yml").write_text(text)
    (folder / "2.yaml").write_text(text)
    (folder / ".3.yml").write_text("hidden: 1")
    (folder / "readme.md").write_text("not: yaml: at all")
    with pytest.raises(ConfigError) as raised:
        load_playbook(folder)
    assert [str(problem) for problem in raised.value.problems] == [
        "playbook/2.yaml:2:10  правило «a» уже есть: playbook/1.yml:2:3",
        "playbook/2.yaml:3:10  people.owner: роль уже есть: playbook/1.yml:3:10",
        "playbook/2.yaml:4:11  calendar: раздел уже есть: playbook/1.yml:4:11",
        "playbook/2.yaml:5:11  план на месяц «12.2026» уже есть: playbook/1.yml:5:11",
        "playbook/2.yaml:6:11  отчёт «r» уже есть: playbook/1.yml:6:11; различите их ключом name",
    ]


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="нет такой папки"):
        load_playbook(tmp_path / "no")


def test_an_empty_folder_and_empty_sections_make_an_empty_playbook(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("")
    (tmp_path / "b.yml").write_text("# only a comment\nrules:\npeople:\ncalendar:\n")
    playbook = load_playbook(tmp_path)
    assert (playbook.rules, playbook.people.roles) == ((), {})


@pytest.mark.parametrize("change", [lambda t: t.replace(b"\n", b"\r\n"), lambda t: b"\xef\xbb\xbf" + t])
def test_files_saved_on_windows_are_read(tmp_path: Path, change: object) -> None:
    assert callable(change)
    (tmp_path / "a.yml").write_bytes(change(RULE.encode()))
    assert load_playbook(tmp_path).rules[0].do == parse_playbook(RULE).rules[0].do


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_places(text: str) -> None:
    try:
        parse_playbook(text.encode("utf-8", "ignore").decode(), "a.yml")
    except ConfigError as error:
        assert all(problem.place.startswith("a.yml") for problem in error.problems)


words = st.sampled_from(
    [
        "rules",
        "name",
        "when",
        "if",
        "do",
        "task",
        "send",
        "text",
        "due",
        "1",
        "a",
        "",
        "~",
        "people",
        "targets",
    ]
)
values = st.recursive(
    words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4)
)


@settings(deadline=None)
@given(st.dictionaries(words, values, max_size=4))
def test_any_shape_of_known_words_is_read_or_refused(shape: dict[str, object]) -> None:
    text = repr(shape).replace("'~'", "~")
    try:
        parse_playbook(text, "a.yml")
    except ConfigError as error:
        assert error.problems
        assert all(problem.place.startswith("a.yml:") for problem in error.problems)
