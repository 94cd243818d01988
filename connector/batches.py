"""Long rows of things in lists of bearable length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

PAGE = 200


def pages(rows: Iterable[T], size: int = PAGE) -> Iterator[Sequence[T]]:
    """`rows` in lists of at most `size`; they are read on only when the next list is asked for."""
    iterator = iter(rows)
    while page := list(islice(iterator, size)):
        yield page
