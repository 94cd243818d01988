"""Files of `templates/playbook` -> `Playbook`, or every mistake at once. Knows no CRM and no templates.

Files are read in the order of their names and make one playbook however they are split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from connector.errors import ConfigError, Problem
from connector.playbook import source
from connector.playbook.condition import find_mistakes
from connector.playbook.mistakes import SECTIONS, dotted, keys_of, problems_of, unknown_key
from connector.playbook.model import (
    CLIENT,
    MATERIALS,
    RESPONSIBLE,
    CompanyCalendar,
    DocumentAction,
    Entry,
    People,
    Person,
    Playbook,
    ReportSchedule,
    Rule,
    Seller,
    SendAction,
    StageMarks,
    Target,
    TaskAction,
)
from connector.playbook.source import Document, Plain
from connector.playbook.words import fold, unknown

E = TypeVar("E", bound=Entry)


def load_playbook(folder: Path) -> Playbook:
    """The playbook of `*.yml` and `*.yaml` in `folder` and below. Raises ConfigError with every mistake."""
    if not folder.is_dir():
        raise ConfigError([Problem(str(folder), "нет такой папки")])
    reading = _Reading()
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".yml", ".yaml") and not file.name.startswith(".") and file.is_file():
            reading.read_file(file)
    return reading.playbook()


def parse_playbook(text: str, name: str = "playbook.yml") -> Playbook:
    """The playbook that one text makes. Raises ConfigError with every mistake."""
    reading = _Reading()
    reading.read(source.parse(name, text.encode()))
    return reading.playbook()


class _Reading:
    """Collects entries and mistakes over all files."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._rules: list[Rule] = []
        self._targets: list[Target] = []
        self._staff: list[Seller] = []
        self._reports: list[ReportSchedule] = []
        self._stages: list[StageMarks] = []
        self._people: dict[str, Person] = {}
        self._role_places: dict[str, tuple[str, str]] = {}
        self._calendar: CompanyCalendar | None = None

    def read_file(self, file: Path) -> None:
        try:
            content = file.read_bytes()
        except OSError as error:
            self._add(source.shown(file), f"файл не читается: {error.strerror}")
            return
        self.read(source.parse(source.shown(file), content))

    def read(self, document: Document) -> None:
        self._problems += document.problems
        if document.value is None:
            return
        if not isinstance(document.value, dict):
            self._add(document.place(()), f"нужны разделы: {', '.join(SECTIONS)}")
            return
        for key, value in document.value.items():
            if key not in SECTIONS:
                self._add(document.place((key, source.KEY)), unknown_key(key, list(SECTIONS)))
            elif value is not None:
                self._section(document, key, value)

    def _section(self, document: Document, section: str, value: Plain) -> None:
        match section:
            case "rules":
                self._rules += self._entries(document, section, value, Rule)
            case "targets":
                self._targets += self._entries(document, section, value, Target)
            case "staff":
                self._staff += self._entries(document, section, value, Seller)
            case "reports":
                self._reports += self._entries(document, section, value, ReportSchedule)
            case "stages":
                self._stages += self._entries(document, section, value, StageMarks)
            case "people":
                self._read_people(document, value)
            case "calendar":
                self._read_calendar(document, value)

    def _entries(self, document: Document, section: str, value: Plain, model: type[E]) -> Iterator[E]:
        if not isinstance(value, list):
            self._add(document.place((section,)), f"{section}: нужен список, каждый пункт с «- »")
            return
        for index, plain in enumerate(value):
            entry = self._entry(document, (section, index), plain, model)
            if entry is not None:
                yield entry

    def _read_people(self, document: Document, value: Plain) -> None:
        if not isinstance(value, dict):
            self._add(document.place(("people",)), "people: нужен набор «роль: {user: …, email: …}»")
            return
        for role, plain in value.items():
            place = document.place(("people", role, source.KEY))
            if fold(role) in (CLIENT, RESPONSIBLE):
                self._add(place, f"people.{role}: это слово занято, назовите роль иначе")
            elif fold(role) in self._role_places:
                self._add(place, f"people.{role}: роль уже есть: {self._role_places[fold(role)][1]}")
            self._role_places.setdefault(fold(role), (role, place))
            person = self._entry(document, ("people", role), plain, Person)
            if person is not None:
                self._people[role] = person

    def _read_calendar(self, document: Document, value: Plain) -> None:
        calendar = self._entry(document, ("calendar",), value, CompanyCalendar)
        if calendar is None:
            return
        if self._calendar is not None:
            self._add(calendar.place, f"calendar: раздел уже есть: {self._calendar.place}")
        self._calendar = calendar

    def _entry(self, document: Document, path: source.Path, plain: Plain, model: type[E]) -> E | None:
        label = dotted(str(path[0]), path[1:])
        places = {
            key[len(path) :]: place for key, place in document.places.items() if key[: len(path)] == path
        }
        if not isinstance(plain, dict):
            example = ", ".join(f"{key}: …" for key in keys_of(model))
            self._add(document.place(path), f"{label}: нужен набор «ключ: значение», например {{{example}}}")
            return None
        if model is Rule and isinstance(plain.get("if"), str):
            for message in find_mistakes(str(plain["if"])):
                self._add(source.place_in(places, ("if",)), f"{label}.if: {message}")
        empty = list(_empty_paths(plain))
        try:
            entry = model.model_validate(plain, by_alias=True, by_name=False)
        except ValidationError as error:
            unseen = {source.place_in(places, where) for where in empty}
            wrong = [fault for fault in problems_of(error, model, label, places) if fault.place not in unseen]
            self._problems += wrong
            keys = {fault.place for fault in wrong}
            empty = [where for where in empty if source.place_in(places, (*where, source.KEY)) not in keys]
            entry = None
        for where in empty:
            message = f"{dotted(label, where)}: пусто; впишите значение или уберите строку"
            self._add(source.place_in(places, where), message)
        if entry is not None:
            entry.remember(places)
        return entry

    def playbook(self) -> Playbook:
        """All that was read; raises ConfigError when there was any mistake."""
        self._check_twins()
        for rule in self._rules:
            self._check_rule(rule)
        for report in self._reports:
            for index, role in enumerate(report.to):
                self._check_role(report.place_of("to", index), f"отчёт «{report.name}», to", role)
        if self._problems:
            raise ConfigError(sorted(dict.fromkeys(self._problems), key=_position))
        return Playbook(
            rules=tuple(self._rules),
            targets=tuple(self._targets),
            staff=tuple(self._staff),
            reports=tuple(self._reports),
            people=People(roles=self._people),
            calendar=self._calendar or CompanyCalendar(),
            stages=tuple(self._stages),
        )

    def _check_twins(self) -> None:
        """Names and months by which the work is remembered must be there once."""
        named: list[tuple[str, str, Entry]] = [("правило", fold(rule.name), rule) for rule in self._rules]
        named += [("этапы воронки", fold(marks.pipeline or ""), marks) for marks in self._stages]
        named += [
            ("план на месяц", f"{target.month:%m.%Y}" if target.month else "every", target)
            for target in self._targets
        ]
        named += [("сотрудник", fold(seller.user), seller) for seller in self._staff]
        named += [("отчёт", fold(report.name), report) for report in self._reports]
        seen: dict[tuple[str, str], Entry] = {}
        for what, name, entry in named:
            first = seen.setdefault((what, name), entry)
            if first is not entry:
                shown = getattr(entry, "name", name)
                advice = "; различите их ключом name" if what == "отчёт" else ""
                self._add(entry.place_of("name"), f"{what} «{shown}» уже есть: {first.place}{advice}")

    def _check_rule(self, rule: Rule) -> None:
        documents: list[str] = []
        label = f"правило «{rule.name}»"
        for index, action in enumerate(rule.do):
            if isinstance(action, DocumentAction):
                if action.id in documents:
                    self._add(
                        rule.place_of("do", index, "document"),
                        f"{label}: документ «{action.id}» уже есть; различите их ключом id",
                    )
                documents.append(action.id)
            elif isinstance(action, SendAction):
                self._check_attachments(rule, index, action, documents)
                place = rule.place_of("do", index, "to")
                self._check_role(place, f"{label}, send.to", action.to, (CLIENT, RESPONSIBLE))
            elif isinstance(action, TaskAction):
                beside = rule.place_of("do", index, "to")
                is_inside = beside == rule.place_of("do", index)
                place = rule.place_of("do", index, "task", "to") if is_inside else beside
                self._check_role(place, f"{label}, task.to", action.to, (RESPONSIBLE,))

    def _check_attachments(self, rule: Rule, index: int, action: SendAction, documents: list[str]) -> None:
        for number, attachment in enumerate(action.attach):
            if attachment.startswith(MATERIALS):
                is_wrong = not re.fullmatch(r"materials/[^/\\.][^\\:]*", attachment) or "/." in attachment
                message = f"«{attachment}»: нужен файл из папки materials, например materials/cases.pdf"
            else:
                is_wrong = attachment not in documents
                listed = ", ".join(documents) or "ни одного"
                message = f"выше в этом правиле нет «document: {attachment}»; документы правила: {listed}"
            if is_wrong:
                self._add(
                    rule.place_of("do", index, "attach", number), f"правило «{rule.name}», attach: {message}"
                )

    def _check_role(self, place: str, label: str, role: str, others: tuple[str, ...] = ()) -> None:
        known = [*(name for name, _ in self._role_places.values()), *others]
        if role not in known:
            self._add(place, f"{label}: {unknown('в разделе people нет роли', role, known)}")

    def _add(self, place: str, message: str) -> None:
        self._problems.append(Problem(place, message))


def _empty_paths(plain: Any, path: source.Path = ()) -> Iterator[source.Path]:
    if plain is None:
        yield path
    elif isinstance(plain, dict):
        for key, value in plain.items():
            yield from _empty_paths(value, (*path, key))
    elif isinstance(plain, list):
        for index, value in enumerate(plain):
            yield from _empty_paths(value, (*path, index))


def _position(problem: Problem) -> tuple[str, int, int]:
    found = re.fullmatch(r"(.*?):(\d+):(\d+)", problem.place)
    return (found[1], int(found[2]), int(found[3])) if found else (problem.place, 0, 0)
