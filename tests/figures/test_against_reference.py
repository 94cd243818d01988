"""Random hard histories: every figure equals the plain calculation of `reference`, value by value."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from sqlalchemy import Connection

from connector.domain import Period
from connector.figures.pace import Plan
from connector.figures.stats import NONE
from connector.figures.tables import FIGURES, Question
from tests.figures.past import KEY, QUALIFIED, STAGES, Past
from tests.figures.reference import Rows
from tests.figures.reference_activities import ActivityReference

#: Tables of our own, with cases by hand in test_more_tables.
OWN = {"loss_detail", "stage_flow"}

ZONES = ("UTC", "Europe/Moscow", "Asia/Vladivostok", "America/New_York")


def random_past(rng: random.Random, as_of: datetime) -> Past:
    """60 deals with bounces, skips, reopenings, same-second moves, deletions and empty cells."""
    past = Past()
    for _ in range(60):
        pipeline = rng.choice(["1", "1", "2"])
        stages = [stage for p, stage, *_ in STAGES if p == pipeline]
        at = as_of - timedelta(seconds=rng.randrange(1, 120 * 86400))
        # Many moments lie on an hour: there local midnights are.
        if rng.random() < 0.3:
            at = at.replace(minute=0, second=0)
        moves = [(str(at), rng.choice([stages[0], stages[0], stages[0], *stages]), pipeline)]
        for _ in range(rng.randrange(6)):
            at += timedelta(seconds=rng.choice([0, 0, 1, 3600, rng.randrange(40 * 86400)]))
            stage = rng.choice([s for s in stages if s != moves[-1][1]])
            if at >= as_of:
                break
            moves.append((str(at), stage, pipeline))
        past.deal(
            *moves,
            price=rng.choice(["", "0", "99.99", str(rng.randrange(1, 10**6)), f"{rng.randrange(10**9)}.07"]),
            manager=rng.choice(["", "1", "2", "10"]),
            channel=rng.choice(["", "site", "Авито"]),
            reason=rng.choice(["", "1", "2", "77"]),
            deleted=rng.random() < 0.1,
            source=rng.choice(["", " ", "Yandex", " yandex ", "vk"]),
        )
        add_activities(rng, past, past.deals[-1], as_of)
    # Ids grow with time as in a CRM, whatever the deal.
    past.transitions.sort(key=lambda t: (t["at"], int(t["event_id"])))
    for number, transition in enumerate(past.transitions, start=rng.choice([1, 95, 9990])):
        transition["event_id"] = str(number)
    return past


def add_activities(rng: random.Random, past: Past, deal: dict[str, str], as_of: datetime) -> None:
    """Calls from before the deal on, meetings that fail, invoices of all kinds, some after `as_of`."""
    created = datetime.fromisoformat(deal["created_at"])

    def later(days: int = 20) -> str:
        step = rng.choice([-400, -300, -299, -1, 0, 1, 60, 5000, rng.randrange(days * 86400)])
        return str(created + timedelta(seconds=step))

    def maybe(text: str) -> str:
        return rng.choice(["", text, text])

    for name, count in (("calls", 3), ("messages", 2), ("meetings", 2), ("tasks", 2), ("invoices", 2)):
        for _ in range(rng.randrange(count + 1)):
            row = {
                f"{name[:-1]}_id": str(len(past.activities[name]) + 1),
                "deal_id": deal["deal_id"],
                "manager_id": rng.choice(["", "1", "2", "10"]),
            }
            if name in ("calls", "messages"):
                row |= {"at": later(), "direction": rng.choice(["in", "out"])}
            if name == "calls":
                row |= {"answered": rng.choice(["0", "1"]), "duration_s": "30"}
            if name == "meetings":
                status = rng.choice(["held", "held", "cancelled", "planned"])
                held = later() if status == "held" else ""
                row |= {"created_at": later(), "planned_at": later(), "held_at": held, "status": status}
            if name == "tasks":
                row |= {"created_at": later(), "due_at": later(), "completed_at": maybe(later())}
            if name == "invoices":
                amount = rng.choice(["", "0", "100.50", str(rng.randrange(10**6))])
                status = rng.choice(["issued", "paid", "cancelled"])
                row |= {"issued_at": later(), "amount": amount, "status": status, "paid_at": maybe(later(60))}
            past.activities[name].append(row)


def random_plans(rng: random.Random, around: date) -> dict[tuple[str, date, str], int]:
    months = {(around.replace(day=15) + timedelta(days=30 * step)).replace(day=1) for step in range(-4, 2)}
    return {
        (manager, month, metric): rng.choice([0, 7, 20, 100_000])
        for manager in ("1", "2", "10", NONE)
        for month in sorted(months)
        for metric in ("leads", "calls", "meetings", "won", "revenue")
        if rng.random() < 0.6
    }


def as_mapping(rows: Sequence[Any], keys: Sequence[str], values: Sequence[str]) -> Rows:
    return {
        tuple(getattr(row, key) for key in keys): tuple(getattr(row, value) for value in values)
        for row in rows
    }


def assert_equal(name: str, ours: Rows, theirs: Rows) -> None:
    assert ours.keys() == theirs.keys(), name
    for key, expected in theirs.items():
        for column, (a, b) in enumerate(zip(ours[key], expected, strict=True)):
            same = a == b or (
                a is not None and b is not None and float(a) == pytest.approx(float(b), rel=1e-12)  # type: ignore[arg-type]
            )
            assert same, f"{name}{key}, column {column}: {a} instead of {b}"


@pytest.mark.parametrize("seed", range(12))
def test_every_table_equals_the_plain_calculation(conn: Connection, seed: int) -> None:
    rng = random.Random(seed)
    zone = ZONES[seed % len(ZONES)]
    midnight = datetime(2026, rng.randrange(3, 12), rng.randrange(1, 29))
    hours = {"UTC": 0, "Europe/Moscow": -3, "Asia/Vladivostok": -10, "America/New_York": 4}[zone]
    as_of = midnight + timedelta(hours=hours)
    past = random_past(rng, as_of)
    plans = random_plans(rng, midnight.date())
    facts = past.facts(conn, str(as_of), zone)
    last_day = facts.last_day
    end = last_day + timedelta(days=1) - timedelta(days=rng.randrange(20))
    period = Period(end - timedelta(days=rng.randrange(70)), end)
    reference = ActivityReference(
        *(past.deals, past.transitions, STAGES, zone, str(as_of)),
        activities=past.activities,
        qualified=QUALIFIED,
        key=KEY,
    )
    rates = (period.start - timedelta(days=180), period.start)
    theirs: dict[str, Rows] = {
        "counts": {(): reference.counts()},
        "sales": reference.sales(period.start, period.end),
        "loss_reasons": reference.loss_reasons(period.start, period.end),
        "funnel_cohort": reference.funnel_cohort(period.start, period.end),
        "funnel_cohort_by_manager": reference.funnel_cohort(period.start, period.end, "manager_id"),
        "funnel_cohort_by_channel": reference.funnel_cohort(period.start, period.end, "channel_id"),
        "funnel_period": reference.funnel_period(period.start, period.end),
        "dwell": reference.dwell(period.start, period.end),
        "open_pipeline": reference.open_pipeline(),
        "kpi": reference.kpi(period.start, period.end, plans),
        "pace": reference.pace(last_day, plans),
        "lead_quality_by_channel": reference.lead_quality(period.start, period.end, "channel_id"),
        "lead_quality_by_source": reference.lead_quality(period.start, period.end, "utm_source"),
        "reverse_funnel_rates": reference.rates(*rates),
        "reverse_funnel": reference.reverse(*rates, 1_000_000),
    }
    assert theirs.keys() == FIGURES.keys() - OWN, "a table without an independent calculation"
    question = Question(
        period,
        [
            Plan(None if m == NONE else m, month, metric, Decimal(v))
            for (m, month, metric), v in plans.items()
        ],
        goal=Decimal(1_000_000),
    )
    for name in theirs:
        table = FIGURES[name]
        names = [field.name for field in dataclasses.fields(table.row)]
        values = [n for n in names if n not in (*table.keys, "name", "reason")]
        assert_equal(name, as_mapping(table.compute(facts, question), table.keys, values), theirs[name])


def test_the_random_histories_are_hard() -> None:
    pasts = [random_past(random.Random(seed), datetime(2026, 6, 1)) for seed in range(12)]
    moves = [t for past in pasts for t in past.transitions]
    deals = [d for past in pasts for d in past.deals]
    assert sum(t["from_stage_id"] in ("142", "143") for t in moves) > 20
    assert len({(t["deal_id"], t["at"]) for past in pasts for t in past.transitions}) < len(moves)
    assert any(d["is_deleted"] for d in deals) and any(not d["manager_id"] for d in deals)
    assert Fraction(1, 3) < Fraction(sum(bool(d["closed_at"]) for d in deals), len(deals))
