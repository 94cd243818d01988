"""The text of a contract: one preamble and clause list for the PDF and the Word file, so they cannot differ.

A clause is a Jinja text of its own; «если» decides whether it stands in this contract. Numbers are given
after that, so they never have holes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateSyntaxError

from connector.documents.environment import TemplateEnvironment
from connector.documents.template_errors import in_russian
from connector.documents.yaml_file import YamlFile
from connector.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Clause:
    text: str
    condition: str | None
    place: str


@dataclass(frozen=True, slots=True)
class ClauseSection:
    title: str
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class ContractText:
    preamble: str
    sections: tuple[ClauseSection, ...]
    place: str = ""

    def sources(self) -> Iterator[tuple[str, str]]:
        """(place, Jinja source) of the preamble, the clauses and their conditions."""
        yield self.place, self.preamble
        for section in self.sections:
            for clause in section.clauses:
                yield clause.place, clause.text
                if clause.condition is not None:
                    yield clause.place, f"{{{{ {clause.condition} }}}}"


def environment() -> TemplateEnvironment:
    """Clauses are plain text; the document that prints them escapes it."""
    return TemplateEnvironment(autoescape=False)


def read_clauses(name: str, text: str) -> ContractText:
    """The text of a contract. Raises ConfigError with every mistake."""
    file = YamlFile(f"documents/{name}", text)
    sections = file.data.get("разделы")
    if not isinstance(sections, list) or not sections:
        raise ConfigError([Problem(file.place("разделы"), "нет разделов договора")])
    jinja, found = environment(), []
    preamble = str(file.data.get("преамбула") or "")
    try:
        jinja.compile(preamble)
    except TemplateSyntaxError as error:
        file.problem(in_russian(error), "преамбула")
    for number, section in enumerate(sections):
        at: tuple[str | int, ...] = ("разделы", number)
        if not isinstance(section, dict) or not section.get("название") or not section.get("пункты"):
            file.problem("у раздела должны быть «название» и «пункты»", *at)
            continue
        clauses = []
        for position, given in enumerate(section["пункты"]):
            place = file.place(*at, "пункты", position)
            clause = _clause(given, place)
            if clause is None:
                file.problem(
                    "пункт — это текст либо «если» и «текст»; текст с «: » внутри берут в кавычки",
                    *at,
                    "пункты",
                    position,
                )
                continue
            try:
                jinja.compile(clause.text)
                jinja.compile_expression(clause.condition or "1")
            except TemplateSyntaxError as error:
                file.problem(in_russian(error), *at, "пункты", position)
            clauses.append(clause)
        found.append(ClauseSection(str(section["название"]), tuple(clauses)))
    if file.problems:
        raise ConfigError(file.problems)
    return ContractText(preamble, tuple(found), file.place("преамбула"))


def rendered(text: ContractText, context: Mapping[str, Any], jinja: TemplateEnvironment) -> dict[str, Any]:
    """What templates see of it: преамбула, and разделы of номер, название, пункты (номер, текст).

    jinja: an `environment()`, which keeps what it compiled.
    """
    result = list[dict[str, Any]]()
    for section in text.sections:
        number = len(result) + 1
        texts = [
            _one_line(jinja.from_string(clause.text).render(context))
            for clause in section.clauses
            if clause.condition is None or jinja.compile_expression(clause.condition)(**context)
        ]
        if texts:
            clauses = [{"номер": f"{number}.{at}.", "текст": text} for at, text in enumerate(texts, 1)]
            result.append({"номер": f"{number}.", "название": section.title, "пункты": clauses})
    return {"преамбула": _one_line(jinja.from_string(text.preamble).render(context)), "разделы": result}


def _one_line(text: str) -> str:
    return re.sub(r"[ \n\t]+", " ", text).strip()


def _clause(given: Any, place: str) -> Clause | None:
    if isinstance(given, str):
        return Clause(" ".join(given.split("\n")), None, place)
    if isinstance(given, dict) and set(given) == {"если", "текст"}:
        return Clause(" ".join(str(given["текст"]).split("\n")), str(given["если"]), place)
    return None
