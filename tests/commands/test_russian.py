"""The command line speaks Russian, click's own words included."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from connector.cli import cli
from tests.commands.typed import typed


def every_command(command: click.Command, *way: str) -> Iterator[tuple[str, ...]]:
    yield way
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from every_command(one, *way, name)


@pytest.mark.parametrize("way", list(every_command(cli)), ids=" ".join)
def test_help_is_in_russian(way: tuple[str, ...]) -> None:
    said = typed(*way, "--help", env={})
    assert said.code == 0
    assert said.out.startswith("Как вызвать: ")
    for heading in ("Usage", "Options", "Commands", "Show this", "default:", "required", "ARGS"):
        assert heading not in said.out
    values = re.findall(r"--[a-z-]+ ([A-Z_]{3,})", said.out)
    assert not values, "a placeholder in English"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("nope", "нет команды nope"),
        ("check --nope", "нет параметра --nope"),
        ("check x y", "лишние аргументы: x y"),
        ("documents void --reason x", "Не хватает аргумента 'НОМЕР'"),
        ("documents void 7", "Не хватает параметра '--reason'"),
        ("documents void x --reason y", "'НОМЕР': x не число"),
        ("report sales --from 1.1", "'--from': 1.1 — не дата вида ГГГГ-ММ-ДД"),
        ("report sales --from", "параметру --from нужно значение"),
        ("import-history /nowhere", "'ПАПКА': «/nowhere» не существует"),
        ("report slaes", "slaes не подходит, можно: 'owner_daily'"),
    ],
)
def test_mistake_on_the_command_line_is_told_in_russian(words: str, answer: str) -> None:
    said = typed(*words.split(), env={})
    assert said.code == 2
    assert "Ошибка: " in said.err
    assert answer in said.err
