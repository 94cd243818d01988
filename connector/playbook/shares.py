"""Money in shares, to the kopeck."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

K = TypeVar("K")


def largest_remainder(total: Decimal, weights: Mapping[K, Decimal]) -> dict[K, Decimal]:
    """`total` (whole kopecks) in shares of the weights, each a whole number of kopecks, the sum exact.

    Each share is the exact one rounded down; the kopecks left over go to those who lost most by that, the
    earlier first. Weights are not negative.
    """
    if any(weight < 0 for weight in weights.values()):
        raise ValueError("negative weight")
    # Fractions of integers: Decimal division would round, and a remainder could then be misjudged.
    scale = 10 ** max((-_exponent(weight) for weight in weights.values()), default=0)
    units = {key: int(weight * scale) for key, weight in weights.items()}
    whole = sum(units.values())
    kopecks = int(total * 100)
    if Decimal(kopecks) != total * 100:
        raise ValueError(f"more than two decimals in an amount: {total}")
    if whole == 0:
        return {}
    shares = {key: divmod(kopecks * unit, whole) for key, unit in units.items()}
    left = kopecks - sum(quotient for quotient, _ in shares.values())
    by_loss = sorted(shares, key=lambda key: -shares[key][1])
    lucky = set(by_loss[:left])
    return {key: Decimal(quotient + (key in lucky)) / 100 for key, (quotient, _) in shares.items()}


def _exponent(weight: Decimal) -> int:
    exponent = weight.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"not a number: {weight}")
    return min(exponent, 0)
