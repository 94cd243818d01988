"""Whether a plan can be reached with today's leads and people, and what to ask of other departments. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from statistics import median

from connector.planning.reverse import Needed, ReverseFunnel

#: What people call deals without a channel: nobody can buy more of them.
NO_CHANNEL = "канал не указан"

#: Whole months of work that a person's own pace is taken from.
PACE_MONTHS = 3


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing the plan needs beside what there usually is.

    missing: 0 where there is enough, or where what there is lies within the interval of the need. heads:
    people that would do the missing part at the usual pace of one; None for leads.
    """

    what: str
    needed: int
    usual: int
    missing: int
    per_head: Decimal | None
    heads: int | None


@dataclass(frozen=True, slots=True)
class Channel:
    """The part of the missing leads that a channel should bring, in the proportion that it does today."""

    name: str
    usual: int
    more: int


@dataclass(frozen=True, slots=True)
class Feasibility:
    """gaps: leads first, then what people do. channels: of the missing leads."""

    gaps: tuple[Gap, ...]
    channels: tuple[Channel, ...]

    @property
    def is_feasible(self) -> bool:
        """Whether nothing is missing."""
        return not any(gap.missing for gap in self.gaps)

    @property
    def heads(self) -> int:
        """People missing: as many as the scarcest work asks for."""
        return max((gap.heads or 0 for gap in self.gaps), default=0)


def feasibility(
    needed: ReverseFunnel,
    leads_by_channel: Mapping[str, Sequence[int]],
    done_by_person: Mapping[str, Mapping[str, Sequence[int]]],
) -> Feasibility:
    """What the plan lacks.

    leads_by_channel: leads of each whole month lately. done_by_person: metric -> person -> numbers of each
    whole month that the person worked in full; those who work now only.
    """
    leads = needed.step("leads")
    usual = {name: round(sum(months) / len(months)) for name, months in leads_by_channel.items() if months}
    gaps, channels = [], []
    if leads is not None:
        missing = _missing(leads, sum(usual.values()))
        gaps.append(Gap("leads", leads.whole, sum(usual.values()), missing, None, None))
        channels = _channels({name: n for name, n in usual.items() if name != NO_CHANNEL}, missing)
    for metric, people in done_by_person.items():
        need = needed.step(metric)
        paces = [sum(months) / len(months) for months in people.values() if months]
        if need is None or not paces:
            continue
        per_head = Decimal(repr(round(median(paces), 1)))
        can = round(sum(paces))
        missing = _missing(need, can)
        heads = int((missing / per_head).to_integral_value(ROUND_CEILING)) if per_head else None
        gaps.append(Gap(metric, need.whole, can, missing, per_head, heads))
    return Feasibility(tuple(gaps), tuple(channels))


def _missing(need: Needed, usual: int) -> int:
    if need.low is not None and usual >= need.low:
        return 0
    return max(need.whole - usual, 0)


def _channels(usual: Mapping[str, int], missing: int) -> list[Channel]:
    total = sum(usual.values())
    if not missing or not total:
        return []
    parts = {name: missing * count / total for name, count in usual.items()}
    whole = {name: math.floor(part) for name, part in parts.items()}
    for name in sorted(parts, key=lambda n: whole[n] - parts[n])[: missing - sum(whole.values())]:
        whole[name] += 1
    ordered = sorted(usual, key=lambda name: (-usual[name], name))
    return [Channel(name, usual[name], whole[name]) for name in ordered if whole[name]]
