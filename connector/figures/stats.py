"""The arithmetic all figures share: quantiles, ratios, the order of rows. Knows no deals and no database."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

#: The group of deals without a responsible user or a channel; never dropped.
NONE = "(none)"

#: The row of deals lost without a reason.
NOT_SET = "(not set)"


def quantile(values: Sequence[float], q: float) -> float | None:
    """The q-quantile at position (n-1)*q, linear between neighbours; None of an empty set."""
    if not values:
        return None
    ordered = sorted(values)
    position = (len(ordered) - 1) * q
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def median(values: Sequence[float]) -> float | None:
    """The middle value, half-way between two when there are two; None of an empty set."""
    return quantile(values, 0.5)


def p90(values: Sequence[float]) -> float | None:
    """The value that nine tenths do not exceed, interpolated; None of an empty set."""
    return quantile(values, 0.9)


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean; None of an empty set."""
    return sum(values) / len(values) if values else None


def ratio(part: int, whole: int) -> float | None:
    """part / whole as a fraction; None when there is nothing to divide by."""
    return part / whole if whole else None


def divide(value: Decimal | None, by: Decimal | int | None) -> Decimal | None:
    """value / by, unrounded; None when either is unknown or `by` is zero."""
    return value / by if value is not None and by else None


def natural(key: str) -> tuple[int, int, str]:
    """A sort key under which identifiers that are whole numbers come first, by size, and texts follow."""
    if key.isascii() and key.isdigit():
        return (0, int(key), key)
    return (1, 0, key)
