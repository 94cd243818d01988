"""How often chance alone brings something about, and how wide an interval has to be. Pure."""

from __future__ import annotations

import math
from statistics import NormalDist

#: The share of cases that lie inside every interval shown.
CONFIDENCE = 0.8


def student(freedom: int) -> float:
    """Student's quantile for CONFIDENCE, by the expansion of Cornish and Fisher around the normal one.

    Right to a hundredth from three degrees of freedom on.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def poisson_tail(count: int, mean: float) -> float:
    """How often a Poisson count of this mean is at most `count`."""
    if mean <= 0:
        return 1.0
    # Sums of logarithms: e**-mean is 0 for a mean above 745.
    total = math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))
    return min(total, 1.0)


def binomial_tail(count: int, trials: int, rate: float) -> float:
    """How often at most `count` of the trials succeed."""
    if count >= trials:
        return 1.0
    if rate >= 1:
        return 0.0
    parts = (math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(count + 1))
    return min(math.fsum(parts), 1.0)
