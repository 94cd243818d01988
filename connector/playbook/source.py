"""YAML text -> plain values that remember where they were written. Knows nothing of rules.

No value is guessed: every scalar stays the text that was typed (`09:30` is no number of seconds, `on` no
truth value), only an empty one, `~` and `null` are None. Tags are refused, so nothing but dicts, lists and
texts can come out. Size, depth, number of values and of aliases are limited: a small file cannot unfold into
a large one.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as Path_
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from connector.errors import Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_VALUES = 5_000
MAX_ALIASES = 200

#: `(*path, KEY)` is the place of the key itself, where a mistake is the key's and not the value's.
KEY = "\0"

Plain = None | str | list["Plain"] | dict[str, "Plain"]
Path = tuple[str | int, ...]

#: PyYAML's words for a mistake -> what a person should do about it. The first that is contained wins.
_SYNTAX = (
    ("'\\t'", "табуляция: замените её пробелами"),
    ("mapping values are not allowed", "лишнее двоеточие: текст, в котором есть «: », берут в кавычки"),
    (
        "could not find expected ':'",
        "после ключа нет двоеточия; или текст выше содержит «: » — тогда его берут в кавычки",
    ),
    ("expected <block end>", "сбился отступ: ключи и пункты одного уровня начинаются в одной колонке"),
    ("expected ',' or", "скобка не закрыта, или внутри неё пропущена запятая"),
    ("unexpected end of stream", "не закрыта кавычка"),
    ("found undefined alias", "ссылка * на метку &, которой выше нет"),
    ("found duplicate anchor", "такая метка & уже есть"),
    ("but found another document", "в файле два документа: строка «---» может быть только в начале"),
    ("special characters are not allowed", "недопустимый управляющий символ"),
    ("cannot start any token", "текст, который начинается с этого знака, берут в кавычки"),
    ("found unknown escape", "неизвестное сочетание с «\\» в двойных кавычках; возьмите одинарные"),
    (
        "expected alphabetic or numeric",
        "после & и * нужно имя метки из латинских букв; сам знак берут в кавычки",
    ),
)


@dataclass(slots=True)
class Document:
    """What one file says. `places` leads from the path of a value to `file:line:column`."""

    name: str
    value: Plain = None
    places: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path) -> str:
        """Where the value at `path` stands; for a path that is not there, its nearest ancestor."""
        return place_in(self.places, path) or self.name


def shown(file: Path_) -> str:
    """The file's name as the person who works in the current folder would write it."""
    try:
        return file.resolve().relative_to(Path_.cwd()).as_posix()
    except ValueError:
        return file.as_posix()


def place_in(places: Mapping[Path, str], path: Path) -> str:
    """The place at `path` or at its nearest ancestor; empty when nothing is known."""
    for length in range(len(path), -1, -1):
        if path[:length] in places:
            return places[path[:length]]
    return ""


def parse(name: str, content: bytes) -> Document:
    """The content of one YAML file; every mistake found is in `problems`, with `name` as the file's name."""
    document = Document(name)
    if len(content) > MAX_BYTES:
        document.problems.append(Problem(name, f"файл больше {MAX_BYTES // 1024} КБ"))
        return document
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        document.problems.append(
            Problem(f"{name}:{line}:{column}", "файл не в кодировке UTF-8: сохраните его как UTF-8")
        )
        return document
    try:
        root = _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(name, text, error))
        return document
    if root is not None:
        _Converter(document).convert_root(root)
    return document


class _Refused(yaml.MarkedYAMLError):
    """A limit was hit; `problem` is already Russian."""


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML up to nodes, without its guesses of types, with limits."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, io.StringIO(text))
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0
        self._values = 0
        self._aliases = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            self._aliases += 1
            self._limit(self._aliases, MAX_ALIASES, "слишком много ссылок *", event.start_mark)
        self._values += 1
        self._limit(self._values, MAX_VALUES, "в файле слишком много значений", event.start_mark)
        self._depth += 1
        self._limit(self._depth, MAX_DEPTH, "слишком глубокая вложенность", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    @staticmethod
    def _limit(count: int, limit: int, message: str, mark: Any) -> None:
        if count > limit:
            raise _Refused(problem=f"{message}: разрешено {limit}", problem_mark=mark)


class _Converter:
    """Walks the nodes once; aliases are unfolded, loops and bombs are refused."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()
        self._values = 0
        self._is_full = False

    def convert_root(self, node: Node) -> None:
        self._document.value = self._convert(node, ())

    def _convert(self, node: Node, path: Path) -> Plain:
        self._document.places[path] = self._place(node.start_mark)
        self._values += 1
        if self._is_full:
            return None
        if self._values > MAX_VALUES:
            self._is_full = True
            self._refuse(node, f"ссылки * разворачиваются больше чем в {MAX_VALUES} значений")
            return None
        if id(node) in self._open:
            self._refuse(node, "ссылка * ведёт внутрь самой себя")
            return None
        if node.tag is not None and node.tag not in _DEFAULT_TAGS:
            self._refuse(node, f"теги не разрешены: {node.tag}")
            return None
        self._open.add(id(node))
        try:
            return self._value(node, path)
        finally:
            self._open.remove(id(node))

    def _value(self, node: Node, path: Path) -> Plain:
        if isinstance(node, ScalarNode):
            is_plain = node.style is None
            return None if is_plain and node.value in ("", "~", "null") else str(node.value)
        if isinstance(node, SequenceNode):
            return [self._convert(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, MappingNode)
        return self._mapping(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Plain]:
        result: dict[str, Plain] = {}
        merged: dict[str, Plain] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._refuse(key, "ключом может быть только слово")
            elif key.value == "<<" and key.style is None:
                merged.update(self._merge(value, path))
            elif key.value in result:
                self._refuse(key, f"ключ «{key.value}» повторён")
            else:
                self._document.places[(*path, key.value, KEY)] = self._place(key.start_mark)
                result[key.value] = self._convert(value, (*path, key.value))
        return {**merged, **result}

    def _merge(self, node: Node, path: Path) -> dict[str, Plain]:
        """The entries that `<<: *label` brings; the mapping's own keys come after and win."""
        own = dict(self._document.places)
        value = self._convert(node, path)
        self._document.places.update(own)
        if isinstance(value, dict):
            return value
        self._refuse(node, "после << нужна ссылка * на набор ключей")
        return {}

    def _refuse(self, node: Node, message: str) -> None:
        self._document.problems.append(Problem(self._place(node.start_mark), message))

    def _place(self, mark: yaml.Mark) -> str:
        return f"{self._document.name}:{mark.line + 1}:{mark.column + 1}"


#: What the composer gives to nodes that carry no tag of their own, and the mark `!` of a plain text.
_DEFAULT_TAGS = {
    BaseResolver.DEFAULT_SCALAR_TAG,
    BaseResolver.DEFAULT_SEQUENCE_TAG,
    BaseResolver.DEFAULT_MAPPING_TAG,
    "!",
}


def _syntax_problem(name: str, text: str, error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if error.context_mark and str(error.context).startswith("while parsing a flow"):
            # A bracket that nobody closed is found far below: what a person needs is where it was opened.
            mark = error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        problem = str(error.problem or error.context)
        return Problem(place, problem if isinstance(error, _Refused) else in_russian(problem))
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        return Problem(f"{name}:{line}:{column}", in_russian(str(error.reason)))
    return Problem(name, in_russian(str(error)))


def in_russian(problem: str) -> str:
    """PyYAML's words for a mistake -> what to do about it."""
    for words, advice in _SYNTAX:
        if words in problem:
            return advice
    return f"не читается как YAML: {problem}"
