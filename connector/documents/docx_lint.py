"""Slips in a Word template, named by paragraph or cell with the words around, before a deal meets them.

Word saves a template as XML in which a tag may be cut into pieces; here each paragraph is put together again
and read as one line of a Jinja template, so that its line number is the paragraph's. Renders nothing.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from jinja2 import TemplateSyntaxError, nodes

from connector.documents.environment import TemplateEnvironment
from connector.documents.template_errors import in_russian
from connector.documents.template_names import unknown_names
from connector.errors import Problem

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARTS = re.compile(r"word/(document|header\d*|footer\d*|footnotes)\.xml")
_PART_NAMES = {"header": "верхний колонтитул", "footer": "нижний колонтитул", "footnotes": "сноски"}
_TOKEN = re.compile(r"{{|{%|{#|}}|%}|#}")
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
#: docxtpl's tags that stand for a whole paragraph, row, cell or run.
_WHOLE = re.compile(r"({[{%]-?)(p|tr|tc|r)(?=\s)")
_AROUND = 60


@dataclass(frozen=True, slots=True)
class Paragraph:
    """`place` for people: «абзац 12», «таблица 1, строка 2, ячейка 3»."""

    place: str
    text: str
    row: int | None = None


def paragraphs(content: bytes) -> list[Paragraph]:
    """All paragraphs of body, headers, footers and footnotes, in order. content: a checked package."""
    found: list[Paragraph] = []
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        for part in sorted(package.namelist()):
            kind = _PARTS.fullmatch(part)
            if kind is None:
                continue
            root = ElementTree.fromstring(package.read(part))
            where = _PART_NAMES.get(re.sub(r"\d+$", "", kind[1]), "")
            body = root.find(f"{_W}body")
            found += _Walk(where).read(root if body is None else body)
    return found


class _Walk:
    """Counts paragraphs and tables of one part as a person would."""

    def __init__(self, where: str) -> None:
        self._prefix = f"{where}, " if where else ""
        self._tables = 0
        self._rows = 0

    def read(self, root: ElementTree.Element) -> Iterator[Paragraph]:
        number = 0
        for element in root:
            if element.tag == f"{_W}p":
                number += 1
                yield Paragraph(f"{self._prefix}абзац {number}", _text(element))
            elif element.tag == f"{_W}tbl":
                self._tables += 1
                yield from self._table(element, f"{self._prefix}таблица {self._tables}")
            elif element.tag == f"{_W}sdt":
                content = element.find(f"{_W}sdtContent")
                yield from () if content is None else self.read(content)

    def _table(self, table: ElementTree.Element, place: str) -> Iterator[Paragraph]:
        for row_number, row in enumerate(table.iter(f"{_W}tr"), 1):
            self._rows += 1
            for cell_number, cell in enumerate(row.iter(f"{_W}tc"), 1):
                where = f"{place}, строка {row_number}, ячейка {cell_number}"
                for paragraph in cell.iter(f"{_W}p"):
                    yield Paragraph(where, _text(paragraph), self._rows)


def _text(paragraph: ElementTree.Element) -> str:
    parts = []
    for element in paragraph.iter():
        if element.tag == f"{_W}t":
            parts.append(element.text or "")
        elif element.tag in (f"{_W}br", f"{_W}tab", f"{_W}cr"):
            parts.append(" ")
    return "".join(parts).replace("\n", " ")


def straight_quotes(source: str) -> str:
    """Tags with the quotes that Word puts in by itself made straight: `default(«—»)` is `default("—")`.

    Such quotes within straight ones are part of a text and stay.
    """
    return re.sub(r"{{.*?}}|{%.*?%}", lambda tag: _straight(tag[0]), source, flags=re.DOTALL)


def _straight(tag: str) -> str:
    if not re.search("[«»“”„‟‘’]", tag):
        return tag
    out, until = [], ""
    for sign in tag:
        if until:
            is_end = sign in until
            out.append('"' if is_end and until != '"' and until != "'" else sign)
            until = "" if is_end else until
        elif sign in "\"'":
            until = sign
            out.append(sign)
        elif sign in "«“„‟‘”":
            until = {"«": "»", "„": "“”", "‘": "’"}.get(sign, "”“")
            out.append('"')
        else:
            out.append(sign)
    return "".join(out)


def find(name: str, content: bytes, known: Mapping[str, Any]) -> list[Problem]:
    """Problems of a Word template; `known`: the tree of names that documents have."""
    try:
        read = paragraphs(content)
    except ElementTree.ParseError:
        return [Problem(name, "файл повреждён: сохраните его в Word ещё раз")]
    problems = [problem for paragraph in read for problem in _brackets(name, paragraph)]
    problems += _whole_tags(name, read)
    if problems:
        return problems
    source = _source(read)
    try:
        wrong = list(unknown_names(TemplateEnvironment(), source, known))
        TemplateEnvironment().compile(source)
    except TemplateSyntaxError as error:
        return [_problem(name, read[min(error.lineno, len(read)) - 1], in_russian(error))]
    return [_problem(name, read[line - 1], message) for line, message in wrong]


def parse(content: bytes) -> nodes.Template:
    """The template as Jinja sees it. TemplateSyntaxError when it does not."""
    return TemplateEnvironment().parse(_source(paragraphs(content)))


def _source(read: list[Paragraph]) -> str:
    return "\n".join(straight_quotes(_WHOLE.sub(r"\1", paragraph.text)) for paragraph in read)


def _brackets(name: str, paragraph: Paragraph) -> Iterator[Problem]:
    """A tag must open and close in one paragraph: Word's own pieces are joined, paragraphs are not."""
    opened: re.Match[str] | None = None
    for token in _TOKEN.finditer(paragraph.text):
        if token[0] in _CLOSING:
            if opened is not None:
                break
            opened = token
        elif opened is not None and token[0] == _CLOSING[opened[0]]:
            opened = None
        elif opened is None:
            message = f"лишние скобки {token[0]}: открывающих в этом абзаце нет"
            yield _problem(name, paragraph, message, token.start())
            return
    if opened is not None:
        closing = _CLOSING[opened[0]]
        message = f"не закрыты скобки: тег пишется целиком в одном абзаце, {opened[0]} … {closing}"
        yield _problem(name, paragraph, message, opened.start())


def _whole_tags(name: str, read: list[Paragraph]) -> Iterator[Problem]:
    """`{%p … %}` takes its whole paragraph away, `{%tr … %}` its row: what stands beside would be lost."""
    for paragraph in read:
        tag = re.search(r"{%-?(p|tr)\s.*?%}", paragraph.text)
        if tag is None:
            continue
        rest = (paragraph.text[: tag.start()] + paragraph.text[tag.end() :]).strip()
        what = "абзаце"
        if tag[1] == "tr":
            if paragraph.row is None:
                yield _problem(name, paragraph, "{%tr … %} бывает только в таблице; здесь нужно {%p … %}")
                continue
            what = "строке таблицы"
            others = [other for other in read if other.row == paragraph.row and other is not paragraph]
            rest += "".join(other.text.strip() for other in others)
        if rest:
            message = (
                f"{tag[0]} должен стоять в своей {what}"
                if tag[1] == "tr"
                else f"{tag[0]} должен стоять в своём {what}"
            )
            yield _problem(name, paragraph, f"{message} один: остальное («{rest[:40]}») пропало бы")


def _problem(name: str, paragraph: Paragraph, message: str, at: int = 0) -> Problem:
    start = max(0, at - _AROUND // 2)
    around = paragraph.text[start : start + _AROUND].strip()
    cut = "…" if len(paragraph.text) > start + _AROUND else ""
    shown = f"{'…' if start else ''}{around}{cut}"
    return Problem(f"{name}, {paragraph.place}", f"{message} (там написано: {shown})")
