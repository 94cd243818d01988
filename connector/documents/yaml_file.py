"""YAML of the kit with the line of every key, so that a mistake can be named as `file:line`."""

from __future__ import annotations

from typing import Any

import yaml

from connector.errors import ConfigError, Problem
from connector.playbook.source import in_russian

Path = tuple[str | int, ...]


class YamlFile:
    """A parsed file: `data`, and `place(path)` for messages."""

    def __init__(self, name: str, text: str) -> None:
        """Raises ConfigError for broken YAML, a key that comes twice and a root that is no mapping."""
        self.name = name
        self._lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        try:
            node = yaml.compose(text, yaml.SafeLoader)
            self.data: Any = yaml.safe_load(text) or {}
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(
                [Problem(f"{name}:{line}", in_russian(str(error.problem or error.context)))]
            ) from None
        except yaml.YAMLError as error:
            raise ConfigError([Problem(name, in_russian(str(error)))]) from None
        if not isinstance(self.data, dict):
            raise ConfigError([Problem(f"{name}:1", "нужны строки вида «ключ: значение»")])
        if node is not None:
            self._walk(node, ())
        if self.problems:
            raise ConfigError(self.problems)

    def place(self, *path: str | int) -> str:
        """`file:line` of a key, or of the nearest one above it."""
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self.name}:{self._lines.get(path, 1)}"

    def problem(self, message: str, *path: str | int) -> None:
        """Remember a mistake; the reader of the file raises them all together."""
        self.problems.append(Problem(self.place(*path), message))

    def _walk(self, node: yaml.Node, path: Path) -> None:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                self._lines[(*path, name)] = key.start_mark.line + 1
                if name in seen:
                    self.problem(f"ключ «{name}» повторяется", *path, name)
                seen.add(name)
                self._walk(value, (*path, name))
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._walk(value, (*path, number))
