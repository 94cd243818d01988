"""The definitions once more, written plainly over the history format; shares no code with the product.

It loops over everything for every number, so that each function can be read beside its definition.
"""

from __future__ import annotations

import statistics
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

Rows = dict[tuple[object, ...], tuple[object, ...]]


class Reference:
    """Every figure as {keys: values}. `stages` are (pipeline, stage, name, sort, kind)."""

    metrics: tuple[str, ...] = ("leads", "won", "revenue")

    def __init__(
        self,
        deals: list[dict[str, str]],
        transitions: list[dict[str, str]],
        stages: list[tuple[str, str, str, int, str]],
        zone: str,
        as_of: str,
    ) -> None:
        self.kind = {(p, s): kind for p, s, _, _, kind in stages}
        self.sort = {(p, s): sort for p, s, _, sort, _ in stages}
        self.stages = stages
        self.zone = ZoneInfo(zone)
        self.as_of = datetime.fromisoformat(as_of)
        self.every = deals
        self.deals = [d for d in deals if d["is_deleted"] != "1"]
        kept = {d["deal_id"] for d in self.deals}
        self.transitions = sorted(
            (t for t in transitions if t["deal_id"] in kept),
            key=lambda t: (t["deal_id"], t["at"], int(t["event_id"])),
        )

    def local(self, text: str) -> date:
        return datetime.fromisoformat(text + "+00:00").astimezone(self.zone).date()

    def inside(self, text: str, start: date, end: date) -> bool:
        return bool(text) and start <= self.local(text) < end

    def state(self, deal: dict[str, str]) -> str:
        return self.kind[deal["pipeline_id"], deal["stage_id"]]

    def of(self, deal_id: str) -> list[dict[str, str]]:
        return [t for t in self.transitions if t["deal_id"] == deal_id]

    def source_kind(self, t: dict[str, str]) -> str | None:
        return self.kind[t["pipeline_id"], t["from_stage_id"]] if t["from_stage_id"] else None

    def target_kind(self, t: dict[str, str]) -> str:
        return self.kind[t["pipeline_id"], t["to_stage_id"]]

    def ladder(self, pipeline: str) -> list[str]:
        steps = [
            (kind == "won", sort, s)
            for p, s, _, sort, kind in self.stages
            if p == pipeline and kind != "lost"
        ]
        return [s for _, _, s in sorted(steps)]

    def counts(self) -> tuple[int, ...]:
        states = [self.state(d) for d in self.deals]
        reopened = {t["deal_id"] for t in self.transitions if self.source_kind(t) in ("won", "lost")}
        back = {
            t["deal_id"]
            for t in self.transitions
            if self.source_kind(t) == "open"
            and self.target_kind(t) == "open"
            and self.sort[t["pipeline_id"], t["to_stage_id"]]
            < self.sort[t["pipeline_id"], t["from_stage_id"]]
        }
        return (
            len(self.every),
            len(self.every) - len(self.deals),
            len(self.deals),
            states.count("open"),
            states.count("won"),
            states.count("lost"),
            len(reopened),
            len(back),
            len([d for d in self.deals if self.state(d) == "lost" and not d["loss_reason_id"]]),
        )

    def sales(self, start: date, end: date) -> Rows:
        found: Rows = {}
        for dim, column in (
            ("all", ""),
            ("pipeline", "pipeline_id"),
            ("manager", "manager_id"),
            ("channel", "channel_id"),
        ):
            for key in {(d[column] or "(none)") if column else "all" for d in self.deals} | (
                {"all"} - {column and "all"}
            ):
                mine = [d for d in self.deals if not column or (d[column] or "(none)") == key]
                closed = [
                    d for d in mine if self.state(d) != "open" and self.inside(d["closed_at"], start, end)
                ]
                won = [d for d in closed if self.state(d) == "won"]
                lost = [d for d in closed if self.state(d) == "lost"]
                born = [d for d in mine if self.inside(d["created_at"], start, end)]
                if column and not closed and not born:
                    continue
                revenue = sum((Fraction(d["price"] or "0") for d in won), Fraction(0))
                cycles = [_seconds(d["created_at"], d["closed_at"]) for d in won]
                found[dim, key] = (
                    len(won),
                    len(lost),
                    _over(len(won), len(won) + len(lost)),
                    revenue,
                    _over(revenue, len(won)),
                    _over(revenue, len([d for d in won if Fraction(d["price"] or "0") > 0])),
                    _middle(cycles),
                    _tenth(cycles),
                    statistics.fmean(cycles) if cycles else None,
                    _middle([_seconds(d["created_at"], d["closed_at"]) for d in lost]),
                    len(born),
                    len([d for d in born if self.state(d) == "won"]),
                    len([d for d in born if self.state(d) == "lost"]),
                    len([d for d in born if self.state(d) == "open"]),
                    _over(len([d for d in born if self.state(d) == "won"]), len(born)),
                )
        return found

    def loss_reasons(self, start: date, end: date) -> Rows:
        lost = [d for d in self.deals if self.state(d) == "lost" and self.inside(d["closed_at"], start, end)]
        tagged: list[tuple[str, str, dict[str, str]]] = []
        for d in lost:
            last = [t for t in self.of(d["deal_id"]) if self.target_kind(t) == "lost"][-1]
            left = f"{last['pipeline_id']}:{last['from_stage_id']}" if last["from_stage_id"] else "(none)"
            tagged += [
                ("all", "all", d),
                ("pipeline", d["pipeline_id"], d),
                ("manager", d["manager_id"] or "(none)", d),
                ("channel", d["channel_id"] or "(none)", d),
                ("stage", left, d),
            ]
        found: Rows = {}
        for dim, key, deal in tagged:
            group = [d for a, b, d in tagged if (a, b) == (dim, key)]
            same = [d for d in group if d["loss_reason_id"] == deal["loss_reason_id"]]
            money = sum((Fraction(d["price"] or "0") for d in same), Fraction(0))
            found[dim, key, deal["loss_reason_id"] or None] = (len(same), _over(len(same), len(group)), money)
        return found

    def funnel_cohort(self, start: date, end: date, column: str = "") -> Rows:
        found: Rows = {}
        cohort = [d for d in self.deals if self.inside(d["created_at"], start, end)]
        for key in {d[column] or "(none)" for d in cohort} if column else {""}:
            for pipeline in {p for p, *_ in self.stages}:
                mine = [
                    d
                    for d in cohort
                    if d["pipeline_id"] == pipeline and (not column or (d[column] or "(none)") == key)
                ]
                if column and not mine:
                    continue
                previous = None
                for step, stage in enumerate(self.ladder(pipeline)):
                    entered = [d for d in mine if stage in {t["to_stage_id"] for t in self.of(d["deal_id"])}]
                    reached = [d for d in mine if self.furthest(d) >= step]
                    keys = (key, pipeline, stage) if column else (pipeline, stage)
                    found[keys] = (
                        len(mine),
                        len(entered),
                        len(reached),
                        _over(len(reached), len(mine)),
                        None if previous is None else _over(len(reached), previous),
                    )
                    previous = len(reached)
        return found

    def furthest(self, deal: dict[str, str]) -> int:
        ladder = self.ladder(deal["pipeline_id"])
        steps = [
            ladder.index(t["to_stage_id"]) for t in self.of(deal["deal_id"]) if t["to_stage_id"] in ladder
        ]
        return max([0, *steps])

    def funnel_period(self, start: date, end: date) -> Rows:
        happened = [t for t in self.transitions if self.inside(t["at"], start, end)]
        found: Rows = {}
        for pipeline in {p for p, *_ in self.stages}:
            previous = None
            for stage in self.ladder(pipeline):
                into = [t for t in happened if (t["pipeline_id"], t["to_stage_id"]) == (pipeline, stage)]
                out = [t for t in happened if (t["pipeline_id"], t["from_stage_id"]) == (pipeline, stage)]
                ways = []
                for t in out:
                    step = self.sort[pipeline, t["to_stage_id"]] - self.sort[pipeline, stage]
                    if self.target_kind(t) != "open":
                        ways.append(self.target_kind(t))
                    elif step:
                        ways.append("forward" if step > 0 else "back")
                entered = len({t["deal_id"] for t in into})
                found[pipeline, stage] = (
                    entered,
                    len(into),
                    *(ways.count(way) for way in ("forward", "back", "won", "lost")),
                    None if previous is None else _over(entered, previous),
                )
                previous = entered
        return found

    def dwell(self, start: date, end: date) -> Rows:
        found: Rows = {}
        for window in ("all", "period"):
            for pipeline, stage, _, _, kind in self.stages:
                if kind != "open":
                    continue
                lengths: list[float] = []
                by_deal: dict[str, float] = {}
                ages = []
                for deal in self.deals:
                    moves = self.of(deal["deal_id"])
                    for number, t in enumerate(moves):
                        if (t["pipeline_id"], t["to_stage_id"]) != (pipeline, stage):
                            continue
                        if number + 1 == len(moves):
                            ages.append((self.as_of - datetime.fromisoformat(t["at"])).total_seconds())
                        elif window == "all" or self.inside(moves[number + 1]["at"], start, end):
                            length = _seconds(t["at"], moves[number + 1]["at"])
                            lengths.append(length)
                            by_deal[deal["deal_id"]] = by_deal.get(deal["deal_id"], 0) + length
                sums = list(by_deal.values())
                found[window, pipeline, stage] = (
                    len(lengths),
                    _middle(lengths),
                    _tenth(lengths),
                    statistics.fmean(lengths) if lengths else None,
                    len(sums),
                    _middle(sums),
                    _tenth(sums),
                    len(ages),
                    _middle(ages),
                )
        return found

    def open_pipeline(self) -> Rows:
        found: Rows = {}
        for pipeline, stage, _, _, kind in self.stages:
            if kind != "open":
                continue
            here = [d for d in self.deals if (d["pipeline_id"], d["stage_id"]) == (pipeline, stage)]
            amount = sum((Fraction(d["price"] or "0") for d in here), Fraction(0))
            entered = {
                t["deal_id"]
                for t in self.transitions
                if (t["pipeline_id"], t["to_stage_id"]) == (pipeline, stage)
            }
            ends = [self.state(d) for d in self.deals if d["deal_id"] in entered]
            chance = _over(ends.count("won"), ends.count("won") + ends.count("lost"))
            weighted = None if chance is None else amount * chance
            found[pipeline, stage] = (len(here), amount, chance, weighted)
        return found

    def fact(self, manager: str, metric: str, start: date, end: date) -> Fraction:
        mine = [d for d in self.deals if manager == "all" or (d["manager_id"] or "(none)") == manager]
        if metric == "leads":
            return Fraction(len([d for d in mine if self.inside(d["created_at"], start, end)]))
        won = [d for d in mine if self.state(d) == "won" and self.inside(d["closed_at"], start, end)]
        return (
            Fraction(len(won))
            if metric == "won"
            else sum((Fraction(d["price"] or "0") for d in won), Fraction(0))
        )

    def kpi(self, start: date, end: date, plans: dict[tuple[str, date, str], int]) -> Rows:
        found: Rows = {}
        first = start.replace(day=1)
        managers = {d["manager_id"] or "(none)" for d in self.deals} | {manager for manager, _, _ in plans}
        for manager in managers:
            for metric in self.metrics:
                day = first
                while day < end:
                    spans = [("day", day, day + timedelta(days=1))]
                    if day.weekday() == 0:
                        spans.append(("week", day, day + timedelta(days=7)))
                    if day.day == 1:
                        spans.append(("month", day, _next_month(day)))
                    for unit, a, b in spans:
                        fact = self.fact(manager, metric, a, b)
                        plan = _plan(plans, manager, metric, unit, a, b)
                        if fact or plan:
                            percent = _over(fact * 100, plan) if plan is not None else None
                            found[unit, manager, a, metric] = (fact, plan, percent)
                    day += timedelta(days=1)
        return found

    def pace(self, last_day: date, plans: dict[tuple[str, date, str], int]) -> Rows:
        found: Rows = {}
        month = last_day.replace(day=1)
        end = _next_month(month)
        elapsed = _working(month, last_day + timedelta(days=1))
        total = _working(month, end)
        managers = {d["manager_id"] or "(none)" for d in self.deals} | {manager for manager, _, _ in plans}
        for metric in self.metrics:
            for manager in [*sorted(managers), "all"]:
                fact = self.fact(manager, metric, month, end)
                known = [
                    v
                    for (m, at, of), v in plans.items()
                    if at == month and of == metric and manager in (m, "all")
                ]
                plan = Fraction(sum(known)) if known else None
                if manager != "all" and plan is None and not fact:
                    continue
                expected = None if plan is None else plan * elapsed / total
                forecast = _over(fact * total, elapsed)
                found[manager, metric] = (
                    fact,
                    plan,
                    elapsed,
                    total,
                    expected,
                    None if expected is None else _over(fact * 100, expected),
                    forecast,
                    None if forecast is None or plan is None else _over(forecast * 100, plan),
                    None if plan is None else _over(max(plan - fact, Fraction(0)), total - elapsed),
                )
        return found


def _plan(
    plans: dict[tuple[str, date, str], int], manager: str, metric: str, unit: str, a: date, b: date
) -> Fraction | None:
    if unit == "month":
        return Fraction(plans[manager, a, metric]) if (manager, a, metric) in plans else None
    shares = []
    for offset in range((b - a).days):
        day = a + timedelta(days=offset)
        month = day.replace(day=1)
        if (manager, month, metric) in plans:
            whole = Fraction(plans[manager, month, metric])
            shares.append(whole / _working(month, _next_month(month)) if day.weekday() < 5 else Fraction(0))
    return sum(shares, Fraction(0)) if shares else None


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def _working(a: date, b: date) -> int:
    return len([1 for offset in range((b - a).days) if (a + timedelta(days=offset)).weekday() < 5])


def _seconds(a: str, b: str) -> float:
    return (datetime.fromisoformat(b) - datetime.fromisoformat(a)).total_seconds()


def _over(a: Fraction | int, b: Fraction | int) -> Fraction | None:
    return Fraction(a) / Fraction(b) if b else None


def _middle(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _tenth(values: list[float]) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=10, method="inclusive")[8]
