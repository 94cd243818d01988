"""Letters: one Markdown template becomes a subject, a text and an HTML part that say the same.

Every value is escaped for Markdown as it is put in, so a client's name is never a link, a heading or markup.
Raw HTML and pictures are off: a letter fetches nothing when it is opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import DictLoader, TemplateError
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from connector.documents.environment import Missing, TemplateEnvironment, collect_missing, wrap
from connector.documents.kit import Kit
from connector.documents.places import FAULTS, held
from connector.errors import RenderError

_LAYOUT = "layout.html"
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


@dataclass(frozen=True, slots=True)
class Message:
    """A letter ready to go; `attachments` are the kinds of documents that its template names."""

    subject: str
    text: str
    html: str
    attachments: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def render_message(kit: Kit, name: str, context: Mapping[str, Any], *, draft: bool = False) -> Message:
    """The letter `name` for one deal; a draft prints the names of what is missing and lists them.

    Errors: HeldError naming every missing datum at once; RenderError for a mistake in the template.
    """
    template = kit.messages.get(name)
    if template is None:
        raise RenderError(f"messages/{name}.md", "нет такого письма")
    names = wrap(context)
    plain, marked = (
        TemplateEnvironment(autoescape=False),
        TemplateEnvironment(autoescape=False, finalize=_escape),
    )
    with collect_missing(context.get(FAULTS, {}), draft=draft) as missing:
        subject = _render(plain, template.subject, names, f"messages/{name}.md", 1)
        source = _render(marked, template.body, names, f"messages/{name}.md", template.body_line)
    if not draft:
        _check(name, missing, context)
    tokens = _markdown().parse(source)
    html = _markdown().renderer.render(tokens, _markdown().options, {})
    return Message(
        subject=" ".join(subject.split()),
        text=_as_text(tokens),
        html=_laid_out(kit, names, html),
        attachments=template.attachments,
        missing=tuple(missing.names),
    )


def _check(name: str, missing: Missing, context: Mapping[str, Any]) -> None:
    if missing.names:
        raise held(f"Письмо «{name}»", f"messages/{name}.md", missing.names, context)


def _render(
    environment: TemplateEnvironment, source: str, names: dict[str, Any], place: str, line: int
) -> str:
    try:
        return environment.from_string(source).render(names)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise RenderError(place, str(error), line) from None


def _laid_out(kit: Kit, names: dict[str, Any], html: str) -> str:
    sources = kit.sources("messages")
    if _LAYOUT not in sources:
        return html
    environment = TemplateEnvironment(DictLoader(sources))
    with collect_missing():  # what the letter itself does not need, its frame does not need either
        return environment.get_template(_LAYOUT).render({**names, "письмо": Markup(html)})


def _escape(value: Any) -> Any:
    """A value for Markdown: ASCII punctuation gets a backslash, a line break becomes a space."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(value.split("\n"))) if isinstance(value, str) else value


def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).disable("image").enable("table")


def _as_text(tokens: Sequence[Token]) -> str:
    """The letter without markup: list items get a dash or a number, a link is followed by its address."""
    blocks: list[str] = []
    lists: list[int | None] = []
    prefix, is_first_item = "", False
    for token in tokens:
        if token.type in ("bullet_list_open", "ordered_list_open"):
            is_first_item = not lists
            lists.append(int(token.attrGet("start") or 1) if token.type[0] == "o" else None)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
        elif token.type == "list_item_open":
            number = lists[-1]
            prefix = "  " * (len(lists) - 1) + (f"{number}. " if number is not None else "— ")
            if number is not None:
                lists[-1] = number + 1
        elif token.type in ("inline", "fence", "code_block"):
            text = _inline_text(token) if token.type == "inline" else token.content.rstrip("\n")
            gap = "\n" if lists and not is_first_item else "\n\n"
            blocks.append(gap + prefix + text)
            prefix, is_first_item = "", False
        elif token.type == "hr":
            blocks.append("\n\n—")
    return "".join(blocks).strip() + "\n"


def _inline_text(token: Token) -> str:
    parts: list[str] = []
    link = ""
    for child in token.children or ():
        if child.type == "link_open":
            link = str(child.attrGet("href") or "")
        elif child.type == "link_close":
            if link.removeprefix("mailto:") not in parts[-1:]:
                parts.append(f": {link}")
            link = ""
        elif child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.content:
            parts.append(child.content)
    return "".join(parts)
