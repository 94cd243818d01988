"""A long text in parts that a channel takes, cut where a reader would pause. Pure.

Length is counted in UTF-16 units: that is how the strictest messengers count, and nobody counts more.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Where to cut, best first: between blocks, lines, words; and only then anywhere.
_BORDERS = ("\n\n", "\n", " ")


def length(text: str) -> int:
    """How long messengers call the text."""
    return len(text.encode("utf-16-le")) // 2


def split(text: str, limit: int) -> list[str]:
    """The text in order, each part at most `limit` long and none empty; nothing but spaces at cuts is lost.

    Raises ValueError for a limit in which not even one character fits.
    """
    if limit < 2:
        raise ValueError(f"no part fits into {limit}")
    return [part for part in _parts(text.strip(), limit, 0) if part.strip()]


def _parts(text: str, limit: int, level: int) -> Iterator[str]:
    if length(text) <= limit:
        yield text
        return
    if level == len(_BORDERS):
        yield from _cut(text, limit)
        return
    border, part = _BORDERS[level], ""
    for piece in text.split(border):
        joined = f"{part}{border}{piece}" if part else piece
        if length(joined) <= limit:
            part = joined
            continue
        if part:
            yield part
        *whole, part = _parts(piece, limit, level + 1)
        yield from whole
    if part:
        yield part


def _cut(text: str, limit: int) -> Iterator[str]:
    part = ""
    for char in text:
        if length(part + char) > limit:
            yield part
            part = ""
        part += char
    yield part
