"""Documents read back: the text of a PDF and of a Word file."""

from __future__ import annotations

import io
import re

from docx import Document
from docx.oxml.ns import qn
from pypdf import PdfReader


def pdf_pages(content: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]


def pdf_text(content: bytes) -> str:
    """The text of all pages without the line at their foot, spaces evened out."""
    pages = (re.sub(r"[^\n]*\n?\d+ / \d+\s*$", "", page) for page in pdf_pages(content))
    return evened("\n".join(pages))


def docx_text(content: bytes) -> str:
    """The text of the body, tables included, in its order."""
    body = Document(io.BytesIO(content)).element.body
    paragraphs = body.iter(qn("w:p"))
    return evened("\n".join("".join(t.text or "" for t in p.iter(qn("w:t"))) for p in paragraphs))


def evened(text: str) -> str:
    return re.sub(r"[ \u00a0\t]+", " ", re.sub(r"\s*\n\s*", "\n", text.replace("\u00a0", " "))).strip()


def squeezed(text: str) -> str:
    """Without any white space: what breaks lines differently is still the same text."""
    return re.sub(r"\s+", "", text)
