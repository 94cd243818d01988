"""The month's target split between people, to the kopeck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from connector.domain import User
from connector.errors import ConfigError, Problem
from connector.playbook.model import Target
from connector.playbook.people import find_user
from connector.playbook.words import unknown

K = TypeVar("K")


def split_target(target: Target, users: Sequence[User]) -> dict[str, Decimal]:
    """Revenue by user id; the sum is the target exactly. Empty when nobody is there to take it.

    With `split` its people by their weights, whether still active or not: that is how it was set. Without,
    equal shares of the active users who are no administrators, or of all active ones when only such exist.
    Raises ConfigError when a name of `split` is nobody in the CRM.
    """
    if not target.split:
        active = [user for user in users if user.is_active]
        sellers = [user for user in active if not user.is_admin] or active
        return largest_remainder(target.revenue, {user.id: Decimal(1) for user in sellers})
    weights: dict[str, Decimal] = {}
    problems = []
    for name, weight in target.split.items():
        user = find_user(name, users)
        if user is None:
            message = unknown("план: в CRM нет пользователя", name, (user.name for user in users))
            problems.append(Problem(target.place_of("split", name), message))
        else:
            weights[user.id] = weights.get(user.id, Decimal(0)) + weight
    if problems:
        raise ConfigError(problems)
    return largest_remainder(target.revenue, weights)


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
