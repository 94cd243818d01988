"""Word documents from Word templates: filled by docxtpl in our environment, with escaping always on.

A template is a file from a person: macros, links to outside files and zip bombs are refused before it is
opened. Without escaping an «&» in a name would silently cut the document, so it cannot be switched off.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError

from connector.documents.docx_lint import straight_quotes
from connector.documents.environment import TemplateEnvironment
from connector.documents.template_errors import in_russian
from connector.errors import RenderError

MAX_UNPACKED = 20_000_000
_MAX_PARTS = 2000
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\b[^>]*>")
#: Any fixed moment does: with it the same data give the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def check_package(name: str, content: bytes) -> None:
    """None for a Word template that may be opened; RenderError with the reason, in Russian, otherwise."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            parts = package.infolist()
            if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
                raise RenderError(name, f"файл в распакованном виде больше {MAX_UNPACKED // 1_000_000} МБ")
            names = {part.filename for part in parts}
            if "word/document.xml" not in names:
                raise RenderError(name, "это не документ Word (.docx)")
            types = package.read("[Content_Types].xml")
            if any(part.lower().endswith("vbaproject.bin") for part in names) or b"macroEnabled" in types:
                raise RenderError(name, "в файле есть макросы; сохраните его как обычный .docx")
            for part in sorted(names):
                if part.endswith(".rels"):
                    _check_relations(name, package.read(part))
    except (zipfile.BadZipFile, KeyError, EOFError, RuntimeError, zlib.error):  # also encrypted, odd packing
        raise RenderError(name, "файл повреждён или это не .docx") from None


def render_docx(
    name: str,
    template: bytes,
    context: Mapping[str, Any],
    environment: TemplateEnvironment,
    *,
    draft: bool = False,
) -> bytes:
    """The filled document; the same bytes for the same data. `environment` must escape.

    A draft begins with that word.

    Errors: RenderError naming the template.
    """
    from docxtpl import DocxTemplate

    class Template(DocxTemplate):  # type: ignore[misc]
        """Word's own quotes inside tags are made straight, as the check before it assumes."""

        def patch_xml(self, src_xml: str) -> str:
            return straight_quotes(str(super().patch_xml(src_xml)))

    check_package(name, template)
    document = Template(io.BytesIO(template))
    out = io.BytesIO()
    try:
        document.render(dict(context), jinja_env=environment, autoescape=True)
        if draft:
            _mark_as_draft(document)
        document.save(out)
    except TemplateSyntaxError as error:
        raise RenderError(name, f"{in_russian(error)} (в теге Word-шаблона)") from None
    except TemplateError as error:
        raise RenderError(name, str(error)) from None
    return _with_fixed_times(out.getvalue())


def _mark_as_draft(document: Any) -> None:
    from docx.shared import Pt, RGBColor

    body = document.docx  # get_docx() would read the template anew
    first = body.paragraphs[0] if body.paragraphs else body.add_paragraph()
    run = first.insert_paragraph_before().add_run("ЧЕРНОВИК")
    run.font.size, run.font.bold, run.font.color.rgb = Pt(28), True, RGBColor(0xBE, 0x1E, 0x1E)


def _check_relations(name: str, relations: bytes) -> None:
    for relation in _RELATION.findall(relations):
        external = re.search(rb"TargetMode\s*=\s*[\"']External[\"']", relation)
        if external and not re.search(rb"relationships/hyperlink[\"']", relation):
            raise RenderError(
                name, "файл ссылается на внешний объект (картинку или шаблон); вставьте его в файл"
            )


def _with_fixed_times(package: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as given, zipfile.ZipFile(out, "w") as made:
        for part in given.infolist():
            info = zipfile.ZipInfo(part.filename, _ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(info, given.read(part))
    return out.getvalue()
