"""What click itself says, in Russian: headings, mistakes on the command line, placeholders.

click looks its own texts up with gettext, in the language of the machine; our users read Russian whatever
that is, and a compiled catalogue for thirty sentences would be a file nobody can read. Must not know any
command.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Final

import click
from click import core, decorators, exceptions, formatting, parser, termui, types

TEXTS: Final[Mapping[str, str]] = {
    "Usage:": "Как вызвать:",
    "Options": "Параметры",
    "Commands": "Команды",
    "Positional arguments": "Аргументы",
    "Show this message and exit.": "Показать эту справку.",
    "Show the version and exit.": "Показать версию.",
    "default: {default}": "по умолчанию: {default}",
    "required": "обязательно",
    "Error: {message}": "Ошибка: {message}",
    "Try '{command} {option}' for help.": "Справка: {command} {option}",
    "Aborted!": "Прервано.",
    "Missing command.": "не названа команда",
    "Missing argument": "Не хватает аргумента",
    "Missing option": "Не хватает параметра",
    "Missing parameter": "Не хватает параметра",
    "No such option {name!r}.": "нет параметра {name}",
    "No such command {name!r}.": "нет команды {name}",
    "Did you mean {possibility}?": "Может быть, {possibility}?",
    "(Did you mean one of: {possibilities}?)": "(Может быть, одно из: {possibilities}?)",
    "Got unexpected extra argument ({args})": "лишний аргумент: {args}",
    "Got unexpected extra arguments ({args})": "лишние аргументы: {args}",
    "Invalid value: {message}": "не подходит: {message}",
    "Invalid value for {param_hint}: {message}": "{param_hint}: {message}",
    "Option {name!r} does not take a value.": "у параметра {name} не бывает значения",
    "Option {name!r} requires an argument.": "параметру {name} нужно значение",
    "Option {name!r} requires {nargs} arguments.": "параметру {name} нужно значений: {nargs}",
    "Choose from:\n\t{choices}": "Выберите:\n\t{choices}",
    "{value!r} is not {choice}.": "{value} не подходит, можно {choice}",
    "{value!r} is not one of {choices}.": "{value} не подходит, можно: {choices}",
    "{value!r} does not match the format {format}.": "{value} — не дата вида ГГГГ-ММ-ДД",
    "{value!r} does not match the formats {formats}.": "{value} — не дата вида ГГГГ-ММ-ДД",
    "{value!r} is not a valid {number_type}.": "{value} не число",
    "{value} is not in the range {range}.": "{value} вне границ {range}",
    "{name} {filename!r} does not exist.": "«{filename}» не существует",
    "{name} {filename!r} is a file.": "«{filename}» — файл, а нужна папка",
    "{name} {filename!r} is a directory.": "«{filename}» — папка, а нужен файл",
    "{name} {filename!r} is not readable.": "«{filename}» не читается",
    "{name} {filename!r} is not writable.": "в «{filename}» нельзя писать",
    "Could not open file {filename!r}: {message}": "файл {filename} не открыть: {message}",
    "Error: invalid input": "Ошибка: не то значение",
}

#: What stands for a value in the help, by the name that click has for its type.
VALUES: Final[Mapping[str, str]] = {
    "text": "ТЕКСТ",
    "integer": "ЧИСЛО",
    "integer range": "ЧИСЛО",
    "float": "ЧИСЛО",
    "datetime": "ГГГГ-ММ-ДД",
    "directory": "ПАПКА",
    "file": "ФАЙЛ",
    "path": "ПУТЬ",
}

#: What stands for an argument.
ARGUMENTS: Final[Mapping[str, str]] = {"document_id": "НОМЕР", "folder": "ПАПКА", "name": "НАЗВАНИЕ"}

_MODULES: Final[tuple[ModuleType, ...]] = (
    *(core, decorators, exceptions, formatting, parser, termui, types),
)


def speak(command: click.Command) -> None:
    """Let click say what it has to say in Russian, also in the help of `command` and all below it."""
    for module in _MODULES:
        for name, look_up in (("_", _text), ("ngettext", _number)):
            if hasattr(module, name):
                setattr(module, name, look_up)
    _name_placeholders(command)


def _text(text: str) -> str:
    return TEXTS.get(text, text)


def _number(one: str, many: str, count: int) -> str:
    return _text(one if count == 1 else many)


def _name_placeholders(command: click.Command) -> None:
    command.options_metavar = "[ПАРАМЕТРЫ]"
    for param in command.params:
        if isinstance(param, click.Option) and param.metavar is None and not param.is_flag:
            param.metavar = VALUES.get(param.type.name)
        elif isinstance(param, click.Argument) and not isinstance(param.type, click.Choice):
            param.metavar = ARGUMENTS.get(param.name or "")
    if isinstance(command, click.Group):
        command.subcommand_metavar = "КОМАНДА [АРГУМЕНТЫ]..."
        for one in command.commands.values():
            _name_placeholders(one)
