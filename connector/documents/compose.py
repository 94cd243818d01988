"""One document out of a kit and a context: HTML, PDF and Word. Runs inside a render process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

from connector.documents import clauses, payment_qr
from connector.documents.docx import render_docx
from connector.documents.environment import TemplateEnvironment, collect_missing, loader, wrap
from connector.documents.kit import Kit
from connector.documents.places import FAULTS
from connector.documents.template_errors import in_russian
from connector.errors import RenderError

if TYPE_CHECKING:
    from connector.documents.pdf import Typesetter

_STYLES = "documents/base.css"
#: What a scanner reads off a draft.
_DRAFT_CODE = "Образец: по черновику счёта платить нельзя"


class Composer:
    """Renders documents of one kit; what can be prepared once is."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._environment = TemplateEnvironment(loader(kit.sources("documents")))
        self._of_clauses, self._of_word = clauses.environment(), TemplateEnvironment()

    def missing(self, kind: str, context: Mapping[str, Any]) -> list[str]:
        """Names that the document would miss, in the order of use, in any of its formats."""
        names, faults = self._names(kind, context)
        with collect_missing(faults) as found:
            self._add_clauses(kind, names)
            for format_ in self._kit.documents[kind].formats:
                self._source(format_, kind, names)
        return list(found.names)

    def compose(
        self, kind: str, context: Mapping[str, Any], *, draft: bool = False
    ) -> tuple[list[tuple[str, bytes]], list[str]]:
        """(format, content) of every format of the kind, and the missing names; either is empty.

        A draft is made in any case: it is marked as one, and prints the names of what is missing.

        Errors: RenderError; OSError when the machine has no Pango.
        """
        names, faults = self._names(kind, context)
        with collect_missing(faults, draft=draft) as found:
            self._add_clauses(kind, names)
            formats = self._kit.documents[kind].formats
            sources = [(format_, self._source(format_, kind, names, draft=draft)) for format_ in formats]
        if found.names and not draft:
            return [], list(found.names)
        extra = _payment_picture(context, draft=draft)
        return [
            (format_, self.typesetter.pdf(source, extra, draft=draft) if isinstance(source, str) else source)
            for format_, source in sources
        ], list(found.names)

    @cached_property
    def typesetter(self) -> Typesetter:
        from connector.documents.pdf import Typesetter

        return Typesetter(self._kit.assets(), self._kit.text(_STYLES))

    def _names(self, kind: str, context: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, str]]:
        if kind not in self._kit.documents:
            raise RenderError(kind, "нет такого вида документа")
        return wrap({key: value for key, value in context.items() if key != FAULTS}), context.get(FAULTS, {})

    def _add_clauses(self, kind: str, names: dict[str, Any]) -> None:
        file = self._kit.documents[kind].clauses
        if file:
            try:
                names.update(clauses.rendered(self._kit.clauses[file], names, self._of_clauses))
            except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
                raise RenderError(f"documents/{file}", str(error)) from None

    def _source(self, format_: str, kind: str, names: dict[str, Any], *, draft: bool = False) -> str | bytes:
        return self._html(kind, names) if format_ == "pdf" else self._docx(kind, names, draft=draft)

    def _html(self, kind: str, names: dict[str, Any]) -> str:
        pages = self._kit.documents[kind].pages
        chosen = names.get("документ", {}).get("вариант")
        name = f"{chosen if chosen in pages else pages[0]}.html"
        try:
            return self._environment.get_template(name).render(names)
        except TemplateSyntaxError as error:
            raise RenderError(f"documents/{error.name or name}", in_russian(error), error.lineno) from None
        except TemplateNotFound as error:
            raise RenderError(f"documents/{name}", f"нет шаблона «{error.name}»") from None
        except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            file, line = _place(error, name)
            raise RenderError(f"documents/{file}", str(error), line) from None

    def _docx(self, kind: str, names: dict[str, Any], *, draft: bool) -> bytes:
        name = f"documents/{kind}.docx"
        return render_docx(name, self._kit.files[name], names, self._of_word, draft=draft)


def _payment_picture(context: Mapping[str, Any], *, draft: bool) -> dict[str, tuple[bytes, str]]:
    """The payment's QR code; a draft has one in its place that nobody can pay by."""
    text = context.get("оплата", {}).get("qr")
    if not text:
        return {}
    return {"asset:qr.png": (payment_qr.png((_DRAFT_CODE if draft else text).encode()), "image/png")}


def _place(error: BaseException, name: str) -> tuple[str, int | None]:
    """The template and the line in which a filter or an operation failed; `name` when it is not known."""
    traceback: TracebackType | None = error.__traceback__
    place: tuple[str, int | None] = (name, None)
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file.endswith(".html"):
            place = (file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place
