"""A letter as people write it: Markdown with a head between two lines of `---` (тема, вложения)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jinja2 import TemplateSyntaxError

from connector.documents import variants
from connector.documents.environment import TemplateEnvironment
from connector.documents.template_errors import in_russian
from connector.documents.variants import Variant
from connector.documents.yaml_file import YamlFile
from connector.errors import ConfigError, Problem

_HEAD = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
#: Both languages are understood; the Russian word is the one in our kit.
_SUBJECT, _ATTACHMENTS = ("тема", "subject"), ("вложения", "attachments")
_VARIANTS = "варианты"


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """`subject` and `body` are Jinja sources; `attachments` are kinds of documents."""

    name: str
    subject: str
    body: str
    attachments: tuple[str, ...]
    body_line: int
    attachments_line: int = 1
    variants: tuple[Variant, ...] = ()


def read_message(path: str, text: str) -> MessageTemplate:
    """The letter in a file of the kit («messages/welcome.md»). Raises ConfigError with every mistake."""
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    head = _HEAD.match(text)
    if head is None:
        raise ConfigError(
            [
                Problem(
                    f"{path}:1",
                    "письмо начинается со строки «---», под ней тема, потом ещё одна строка «---»",
                )
            ]
        )
    # One empty line in front stands for the line of «---», so that places agree with the file.
    file = YamlFile(path, "\n" + head[1])
    for key in sorted(set(file.data) - {*_SUBJECT, *_ATTACHMENTS, _VARIANTS}):
        file.problem(f"неизвестный ключ «{key}», есть «тема», «вложения» и «варианты»", key)
    subject = next((str(file.data[key]) for key in _SUBJECT if file.data.get(key)), "")
    if not subject:
        file.problem("у письма нет темы")
    attachments: object = next((file.data[key] for key in _ATTACHMENTS if file.data.get(key)), [])
    if not isinstance(attachments, list):
        file.problem(
            "вложения — это список документов в квадратных скобках: [contract, proposal]", "вложения"
        )
        attachments = []
    found, message = variants.read(file.data.get(_VARIANTS))
    if message:
        file.problem(message, _VARIANTS)
    body = text[head.end() :]
    body_line = text.count("\n", 0, head.end())
    environment = TemplateEnvironment(autoescape=False)
    for source, offset in ((subject, 1), (body, body_line)):
        try:
            environment.compile(source)
        except TemplateSyntaxError as error:
            file.problems.append(Problem(f"{path}:{error.lineno + offset}", in_russian(error)))
    if file.problems:
        raise ConfigError(file.problems)
    assert isinstance(attachments, list)
    name = path.rpartition("/")[2].removesuffix(".md")
    place = file.place(next((key for key in _ATTACHMENTS if key in file.data), ""))
    line = int(place.rpartition(":")[2])
    return MessageTemplate(name, subject, body, tuple(map(str, attachments)), body_line, line, found)
