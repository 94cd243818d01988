"""A kit that reads well, looked at for slips of its authors: unknown names, traps, PDF unlike Word.

Renders nothing; what only a render shows, `trial` finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from jinja2 import TemplateSyntaxError

from connector.documents import docx_lint, lint
from connector.documents.environment import TemplateEnvironment
from connector.documents.template_names import OF_DOCUMENTS, OF_PAGES, known_names, unknown_names
from connector.documents.used_names import used
from connector.errors import Problem
from connector.playbook.words import unknown

if TYPE_CHECKING:
    from connector.documents.kit import Kit


def check(kit: Kit) -> list[Problem]:
    """Every problem, by its place in the kit."""
    found = [*_unknown_names(kit), *_word_files(kit), *_attachments(kit)]
    return list(dict.fromkeys(found))


def check_texts(files: Mapping[str, bytes], assets: Mapping[str, object]) -> list[Problem]:
    """Problems of the texts alone; files that are no UTF-8 are left out."""
    sources = {}
    for name, content in files.items():
        if name.endswith((".html", ".css", ".md")) and name.startswith(("documents/", "messages/")):
            try:
                sources[name] = content.decode("utf-8")
            except UnicodeDecodeError:
                continue
    return lint.find(sources, assets.keys())


def _unknown_names(kit: Kit) -> Iterator[Problem]:
    """Names in templates, letters, pages and clauses that no deal can ever fill in."""
    letters = known_names(kit.documents)
    documents = {**letters, **OF_DOCUMENTS}
    for name in kit.files:
        if name.endswith(".html") and name.startswith("documents/"):
            for line, message in unknown_names(TemplateEnvironment(), kit.text(name), documents):
                yield Problem(f"{name}:{line}", message)
        elif name.endswith(".html") and name.startswith("pages/"):
            for line, message in unknown_names(TemplateEnvironment(), kit.text(name), OF_PAGES):
                yield Problem(f"{name}:{line}", message)
    for letter in kit.messages.values():
        for source, offset in ((letter.subject, 1), (letter.body, letter.body_line)):
            for line, message in unknown_names(TemplateEnvironment(), source, letters):
                yield Problem(f"messages/{letter.name}.md:{line + offset}", message)
    for contract in kit.clauses.values():
        for place, source in contract.sources():
            for _, message in unknown_names(TemplateEnvironment(), source, documents):
                yield Problem(place, message)


def _word_files(kit: Kit) -> Iterator[Problem]:
    known = {**known_names(kit.documents), **OF_DOCUMENTS}
    for kind, template in kit.documents.items():
        if "docx" not in template.formats:
            continue
        name = f"documents/{kind}.docx"
        problems = docx_lint.find(name, kit.files[name], known)
        yield from problems
        if not problems and "pdf" in template.formats:
            yield from _differences(kit, kind, known)


def _differences(kit: Kit, kind: str, known: Mapping[str, object]) -> Iterator[Problem]:
    """Data that one of the two files of a kind prints and the other does not."""
    page, word = f"documents/{kind}.html", f"documents/{kind}.docx"
    environment = TemplateEnvironment()
    try:
        trees = [environment.parse(kit.text(f"documents/{name}")) for name in kit.reached(f"{kind}.html")]
    except TemplateSyntaxError:
        return  # told by whoever compiles it
    in_page, in_word = used(trees, known), used([docx_lint.parse(kit.files[word])], known)
    for here, there, names in ((page, word, in_page - in_word), (word, page, in_word - in_page)):
        if names:
            listed = ", ".join(f"«{name}»" for name in sorted(names))
            other = there.rpartition("/")[2]
            yield Problem(here, f"здесь печатается {listed}, а в {other} нет: PDF и Word разошлись")


def _attachments(kit: Kit) -> Iterator[Problem]:
    for letter in kit.messages.values():
        for kind in letter.attachments:
            if kind not in kit.documents:
                message = unknown("вложения: нет документа", kind, kit.documents)
                yield Problem(f"messages/{letter.name}.md:{letter.attachments_line}", message)
        for variant in letter.variants:
            if variant.name not in kit.messages:
                message = unknown("варианты: нет письма", variant.name, kit.messages)
                yield Problem(f"messages/{letter.name}.md:2", message)
            elif variant.name != letter.name and kit.messages[variant.name].variants:
                yield Problem(
                    f"messages/{letter.name}.md:2", f"у варианта «{variant.name}» есть свои варианты"
                )
