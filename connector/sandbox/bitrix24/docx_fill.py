"""A `.docx` template with `{Placeholders}`: which it has, a copy with values in their place, and a bare PDF.

Knows nothing of the portal. Word breaks a placeholder over several runs at will, so paragraphs that hold one
are put together again: their first run's look wins. Source of the notation: reference section 4.12.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from xml.sax.saxutils import escape, unescape

_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.]+)\}")
_PARAGRAPH = re.compile(r"<w:p[ >].*?</w:p>", re.DOTALL)
_TEXT = re.compile(r"(<w:t(?: [^>]*)?>)(.*?)(</w:t>)", re.DOTALL)
_PARTS = re.compile(r"word/(document|header\d*|footer\d*)\.xml")


class NotDocx(ValueError):
    """The file is no `.docx`."""


def placeholders(content: bytes) -> list[str]:
    """Names between braces, each once, in the order of the text."""
    found: dict[str, None] = {}
    for text in _parts(content).values():
        for paragraph in _PARAGRAPH.findall(text):
            found |= dict.fromkeys(_PLACEHOLDER.findall(_joined(paragraph)))
    return list(found)


def fill(content: bytes, values: Mapping[str, str]) -> bytes:
    """The document with the values; a placeholder without one becomes nothing."""
    parts = {
        name: _PARAGRAPH.sub(lambda m: _filled(m[0], values), text) for name, text in _parts(content).items()
    }
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            new.writestr(item, parts[item.filename].encode() if item.filename in parts else old.read(item))
    return out.getvalue()


def blank_pdf(title: str) -> bytes:
    """One empty A4 page that carries the title: the simulator has no converter."""
    name = title.encode("utf-16-be").hex().upper()
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
        f"<< /Title <FEFF{name}> >>",
    )
    text, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(text))
        text += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    start, size = len(text), len(objects) + 1
    text += f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    text += f"trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return text.encode("ascii")


def _parts(content: bytes) -> dict[str, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if _PARTS.fullmatch(name)]
            found = {name: archive.read(name).decode("utf-8") for name in names}
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise NotDocx("the file is no .docx") from error
    if "word/document.xml" not in found:
        raise NotDocx("the file is no .docx")
    return found


def _joined(paragraph: str) -> str:
    return unescape("".join(found[1] for found in _TEXT.findall(paragraph)))


def _filled(paragraph: str, values: Mapping[str, str]) -> str:
    whole = _joined(paragraph)
    if not _PLACEHOLDER.search(whole):
        return paragraph
    text = escape(_PLACEHOLDER.sub(lambda m: values.get(m[1], ""), whole))
    texts = iter([f'<w:t xml:space="preserve">{text}</w:t>'])
    return _TEXT.sub(lambda m: next(texts, "<w:t></w:t>"), paragraph)
