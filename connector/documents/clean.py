"""Strangers' text made fit for a document: one gate for every string that came from a CRM.

It drops what cannot be printed or what lies to the eye; what is too long is not cut but reported, because a
cut name in a contract is a wrong name.
"""

from __future__ import annotations

import re
import unicodedata

#: Longest texts, in characters. A megabyte of name would typeset for minutes.
NAME = 300
LINE = 500
TEXT = 10_000

# Control characters except tab and newline, lone surrogates, and the marks that turn the direction of
# writing: with U+202E a payee's name is printed backwards.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


class TooLongError(ValueError):
    """A text longer than its field may be; Russian."""


def clean(text: str, longest: int = LINE) -> str:
    """`text` in NFC without unprintable characters and outer spaces; TooLongError beyond `longest`."""
    if len(text) > longest * 4:  # before any work on it
        raise TooLongError(f"текст длиннее {longest} знаков")
    text = text.replace("\r\n", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    text = unicodedata.normalize("NFC", _UNPRINTABLE.sub("", text)).strip()
    if len(text) > longest:
        raise TooLongError(f"текст длиннее {longest} знаков")
    return text


def clean_line(text: str, longest: int = LINE) -> str:
    """The same on one line: line breaks, tabs and runs of spaces become one space."""
    return re.sub(r"[ \t\n]+", " ", clean(text, longest))


def digits(text: str) -> str:
    """A number as people type it («7707 083893»), without its spaces."""
    return re.sub(r"\s", "", clean(text))
