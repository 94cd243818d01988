"""Two or more looks of one document or letter, tried against each other: which deal gets which. Pure.

The choice depends on account, deal and the name of the kind or letter alone, so a repeated attempt, another
process and another day give the same. A changed share moves no more deals than it must.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Shares are whole numbers, at most this: people write percents.
MAX_SHARE = 100


@dataclass(frozen=True, slots=True)
class Variant:
    """`name`: of the template's file, without its ending. A share of 0 stops it: no further deal gets it."""

    name: str
    share: int


def read(given: Any) -> tuple[tuple[Variant, ...], str]:
    """What stands under «варианты», and what is wrong with it in Russian: "" when nothing is."""
    if given is None:
        return (), ""
    if not isinstance(given, dict) or len(given) < 2:
        return (), "варианты — это хотя бы два шаблона с долями: {proposal: 50, proposal-short: 50}"
    found = []
    for name, share in given.items():
        if isinstance(share, bool) or not isinstance(share, int) or not 0 <= share <= MAX_SHARE:
            return (), f"доля варианта «{name}» — целое число от 0 (остановлен) до {MAX_SHARE}"
        found.append(Variant(str(name), share))
    if not any(variant.share for variant in found):
        return (), "все варианты остановлены: дайте хотя бы одному долю больше нуля"
    return tuple(found), ""


def choose(
    variants: Sequence[Variant], account: str, deal_id: str, experiment: str, kept: str | None = None
) -> str:
    """The variant's name; "" where there are none. experiment: the kind or the letter.

    kept: what the deal got before; it stays with that, stopped or not, as long as the template exists.
    """
    if not variants:
        return ""
    if kept and any(variant.name == kept for variant in variants):
        return kept
    running = [variant for variant in variants if variant.share]
    # Weighted rendezvous: each variant draws a number of its own for the deal, the best one wins.
    return max(running, key=lambda variant: _score(variant, f"{account}\0{deal_id}\0{experiment}")).name


def _score(variant: Variant, deal: str) -> float:
    digest = hashlib.sha256(f"{deal}\0{variant.name}".encode()).digest()
    drawn = (int.from_bytes(digest[:8], "big") + 0.5) / 2.0**64
    return -variant.share / math.log(drawn)
