"""Hard logs with results worked out by hand, one a test."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import Connection

from connector.domain import Period
from connector.figures.counts import counts
from connector.figures.dwell import dwell
from connector.figures.funnel import funnel_cohort, funnel_period
from connector.figures.kpi import kpi
from connector.figures.losses import loss_reasons
from connector.figures.open_pipeline import open_pipeline
from connector.figures.pace import Plan, pace
from connector.figures.sales import SalesRow, sales
from tests.figures.past import Past

MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))


def all_sales(rows: list[SalesRow]) -> SalesRow:
    return next(row for row in rows if row.dim == "all")


def test_nothing_at_all_gives_zeros_and_undefined_shares(conn: Connection) -> None:
    facts = Past().facts(conn)
    [row] = sales(facts, MARCH)
    assert (row.won, row.lost, row.win_rate, row.revenue, row.avg_cheque) == (0, 0, None, Decimal(0), None)
    assert (row.cycle_median_s, row.created_win_rate) == (None, None)
    assert loss_reasons(facts, MARCH) == []
    [counted] = counts(facts)
    assert counted.all_deals == counted.reopened == 0
    assert all(step.conv_from_first is None for step in funnel_cohort(facts, MARCH))
    assert all(stage.win_chance is None and stage.weighted_amount is None for stage in open_pipeline(facts))


def test_a_bounce_within_one_second_counts_its_zero_second_visit(conn: Connection) -> None:
    past = Past()
    past.deal(
        ("2026-03-02 10:00:00", "10"),
        ("2026-03-02 11:00:00", "20"),
        ("2026-03-02 11:00:00", "10"),
        ("2026-03-02 11:00:00", "30"),
    )
    facts = past.facts(conn, as_of="2026-03-02 12:00:00")
    stage = {row.stage_id: row for row in dwell(facts, MARCH) if row.window == "all"}
    assert (stage["20"].visits, stage["20"].median_s) == (1, 0)
    assert (stage["10"].visits, stage["10"].median_s, stage["10"].mean_s) == (2, 1800, 1800)
    assert (stage["10"].deals, stage["10"].deal_median_s) == (1, 3600)
    assert (stage["30"].visits, stage["30"].open_now, stage["30"].open_median_age_s) == (0, 1, 3600)
    [counted] = counts(facts)
    assert counted.moved_back == 1
    happened = {row.stage_id: row for row in funnel_period(facts, MARCH)}
    assert (happened["10"].entered_deals, happened["10"].entries, happened["10"].exits_forward) == (1, 2, 2)
    assert (happened["20"].exits_back, happened["20"].conv_from_prev) == (1, 1.0)


def test_moves_of_one_second_are_ordered_by_number_and_not_by_text(conn: Connection) -> None:
    past = Past()
    for _ in range(8):  # so that the ids of the next deal run from 9 to 11
        past.deal(("2026-03-01 09:00:00", "10"), deleted=True)
    past.deal(("2026-03-02 10:00:00", "10"), ("2026-03-02 10:00:00", "20"), ("2026-03-02 10:00:00", "30"))
    facts = past.facts(conn, as_of="2026-03-02 11:00:00")
    visits = {row.stage_id: row.visits for row in dwell(facts, MARCH) if row.window == "all"}
    assert (visits["10"], visits["20"], visits["30"]) == (1, 1, 0)


def test_a_reopened_deal_is_open_and_no_longer_sold(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-03-02 10:00:00", "10"), ("2026-03-05 10:00:00", "142"), ("2026-03-06 10:00:00", "30"))
    facts = past.facts(conn)
    row = all_sales(sales(facts, MARCH))
    assert (row.won, row.revenue, row.created_open) == (0, 0, 1)
    [counted] = counts(facts)
    assert (counted.open, counted.won, counted.reopened) == (1, 0, 1)
    reached = {step.stage_id: step for step in funnel_cohort(facts, MARCH) if step.pipeline_id == "1"}
    assert [reached[s].reached for s in ("10", "20", "30", "142")] == [1, 1, 1, 1]
    assert [reached[s].entered for s in ("10", "20", "30", "142")] == [1, 0, 1, 1]
    happened = {step.stage_id: step for step in funnel_period(facts, MARCH) if step.pipeline_id == "1"}
    assert (happened["10"].exits_won, happened["142"].exits_back) == (1, 1)


def test_won_twice_counts_once_at_the_last_closing(conn: Connection) -> None:
    past = Past()
    past.deal(
        ("2026-01-10 10:00:00", "10"),
        ("2026-02-10 10:00:00", "142"),
        ("2026-02-11 10:00:00", "30"),
        ("2026-03-01 10:00:00", "142"),
        price="250.50",
    )
    facts = past.facts(conn)
    assert all_sales(sales(facts, Period(date(2026, 2, 1), date(2026, 3, 1)))).won == 0
    row = all_sales(sales(facts, MARCH))
    assert (row.won, row.revenue, row.cycle_median_s) == (1, Decimal("250.50"), 50 * 86400)
    [counted] = counts(facts)
    assert (counted.won, counted.reopened) == (1, 1)


def test_a_move_between_pipelines_counts_in_both_and_is_no_step_back(conn: Connection) -> None:
    past = Past()
    past.deal(
        ("2026-03-02 10:00:00", "10"),
        ("2026-03-03 10:00:00", "30"),
        ("2026-03-04 10:00:00", "40", "2"),
        ("2026-03-05 10:00:00", "142", "2"),
        price="900",
    )
    facts = past.facts(conn)
    [counted] = counts(facts)
    assert counted.moved_back == 0
    cohort = {(step.pipeline_id, step.stage_id): step for step in funnel_cohort(facts, MARCH)}
    assert cohort["1", "10"].cohort == 0
    assert [cohort["2", s].reached for s in ("40", "9", "142")] == [1, 1, 1]
    assert [cohort["2", s].entered for s in ("40", "9", "142")] == [1, 0, 1]
    happened = {(step.pipeline_id, step.stage_id): step for step in funnel_period(facts, MARCH)}
    left = happened["1", "30"]
    assert (left.exits_forward, left.exits_back, left.exits_won, left.exits_lost) == (0, 0, 0, 0)
    assert (happened["2", "40"].entries, happened["2", "40"].exits_won) == (1, 1)
    stays = {(r.pipeline_id, r.stage_id): r.median_s for r in dwell(facts, MARCH) if r.window == "all"}
    assert (stays["1", "30"], stays["2", "40"]) == (86400, 86400)
    assert {row.key for row in sales(facts, MARCH) if row.dim == "pipeline"} == {"2"}


def test_won_in_another_pipeline_is_the_whole_way_there_too(conn: Connection) -> None:
    past = Past()
    past.deal(
        ("2026-03-02 10:00:00", "10"), ("2026-03-03 10:00:00", "142"), ("2026-03-04 10:00:00", "40", "2")
    )
    cohort = [step for step in funnel_cohort(past.facts(conn), MARCH) if step.pipeline_id == "2"]
    assert [(step.stage_id, step.entered, step.reached) for step in cohort] == [
        ("40", 1, 1),
        ("9", 0, 1),
        ("142", 0, 1),
    ]
    assert [step.conv_from_prev for step in cohort] == [None, 1.0, 1.0]


def test_midnight_is_that_of_the_account(conn: Connection) -> None:
    past = Past()
    # 23:59:59 on 28 February and 00:00:00 on 1 March in Vladivostok (UTC+10).
    past.deal(("2026-02-10 10:00:00", "10"), ("2026-02-28 13:59:59", "142"), price="1")
    past.deal(("2026-02-10 10:00:00", "10"), ("2026-02-28 14:00:00", "142"), price="20")
    # The last second of March there, and the first of April.
    past.deal(("2026-02-10 10:00:00", "10"), ("2026-03-31 13:59:59", "142"), price="300")
    past.deal(("2026-02-10 10:00:00", "10"), ("2026-03-31 14:00:00", "142"), price="4000")
    facts = past.facts(conn, as_of="2026-04-10", zone="Asia/Vladivostok")
    assert all_sales(sales(facts, MARCH)).revenue == 320
    days = {
        row.start: row.fact for row in kpi(facts, MARCH, []) if (row.period, row.metric) == ("day", "won")
    }
    assert days == {date(2026, 3, 1): 1, date(2026, 3, 31): 1}


def test_a_day_of_25_hours_is_one_day(conn: Connection) -> None:
    past = Past()
    # Clocks go back in Berlin on 25 October 2026: the day runs from 22:00 to 23:00 UTC.
    past.deal(("2026-10-24 22:00:00", "10"))
    past.deal(("2026-10-25 22:59:59", "10"))
    past.deal(("2026-10-25 23:00:00", "10"))
    facts = past.facts(conn, as_of="2026-11-01", zone="Europe/Berlin")
    row = all_sales(sales(facts, Period(date(2026, 10, 25), date(2026, 10, 26))))
    assert row.created == 2


def test_deleted_and_service_deals_are_left_out_everywhere(conn: Connection) -> None:
    past = Past()
    lost = (("2026-03-02 10:00:00", "10"), ("2026-03-03 10:00:00", "143"))
    won = (("2026-03-02 10:00:00", "10"), ("2026-03-03 10:00:00", "142"))
    past.deal(*lost, deleted=True)
    past.deal(*won, deleted=True)
    past.deal(*won, is_service=True)
    past.deal(*lost, is_service=True)
    past.deal(("2026-03-02 10:00:00", "10"), deleted=True)
    facts = past.facts(conn)
    row = all_sales(sales(facts, MARCH))
    assert (row.won, row.lost, row.created) == (0, 0, 0)
    assert loss_reasons(facts, MARCH) == []
    assert {stage.open_deals for stage in open_pipeline(facts)} == {0}
    assert {stage.visits for stage in dwell(facts, MARCH)} == {0}
    assert {stage.entries for stage in funnel_period(facts, MARCH)} == {0}
    [counted] = counts(facts)
    assert (counted.all_deals, counted.deleted, counted.deals) == (3, 3, 0)


def test_no_reason_no_owner_no_channel_are_rows_of_their_own(conn: Connection) -> None:
    past = Past()
    lost = (("2026-03-02 10:00:00", "10"), ("2026-03-03 10:00:00", "143"))
    past.deal(*lost, manager="", channel="", price="70")
    past.deal(*lost, manager="", channel="", price="30", reason="1")
    past.deal(*lost, manager="2", price="", reason="gone")
    rows = loss_reasons(past.facts(conn), MARCH)
    seen = {(r.dim, r.key, r.loss_reason_id, r.reason, r.deals, r.share, r.lost_amount) for r in rows}
    third = 1 / 3
    assert seen == {
        ("all", "all", None, "(not set)", 1, third, Decimal(70)),
        ("all", "all", "1", "Дорого", 1, third, Decimal(30)),
        ("all", "all", "gone", "gone", 1, third, Decimal(0)),
        ("pipeline", "1", None, "(not set)", 1, third, Decimal(70)),
        ("pipeline", "1", "1", "Дорого", 1, third, Decimal(30)),
        ("pipeline", "1", "gone", "gone", 1, third, Decimal(0)),
        ("manager", "(none)", None, "(not set)", 1, 0.5, Decimal(70)),
        ("manager", "(none)", "1", "Дорого", 1, 0.5, Decimal(30)),
        ("manager", "2", "gone", "gone", 1, 1.0, Decimal(0)),
        ("channel", "(none)", None, "(not set)", 1, 0.5, Decimal(70)),
        ("channel", "(none)", "1", "Дорого", 1, 0.5, Decimal(30)),
        ("channel", "site", "gone", "gone", 1, 1.0, Decimal(0)),
        ("stage", "1:10", None, "(not set)", 1, third, Decimal(70)),
        ("stage", "1:10", "1", "Дорого", 1, third, Decimal(30)),
        ("stage", "1:10", "gone", "gone", 1, third, Decimal(0)),
    }


def test_the_stage_of_loss_is_what_the_last_move_into_lost_left(conn: Connection) -> None:
    past = Past()
    past.deal(
        ("2026-03-02 10:00:00", "10"),
        ("2026-03-03 10:00:00", "143"),
        ("2026-03-04 10:00:00", "30"),
        ("2026-03-05 10:00:00", "143"),
    )
    past.deal(("2026-03-02 10:00:00", "143"))
    rows = loss_reasons(past.facts(conn), MARCH)
    assert {row.key: row.deals for row in rows if row.dim == "stage"} == {"1:30": 1, "(none)": 1}


def test_a_late_report_shows_what_it_would_have_shown_on_time(conn: Connection) -> None:
    past = Past()
    won_before = (("2026-03-02 10:00:00", "10"), ("2026-03-03 10:00:00", "142"))
    past.deal(*won_before, price="5")
    past.deal(*won_before, ("2026-03-10 00:00:00", "30"), price="70")  # reopened on the stroke of as_of
    past.deal(("2026-03-02 10:00:00", "20"), ("2026-03-10 08:00:00", "142"), price="900")
    past.deal(("2026-03-02 10:00:00", "20"), ("2026-03-10 08:00:00", "40", "2"))
    past.deal(("2026-03-10 00:00:00", "10"))
    facts = past.facts(conn, as_of="2026-03-10")
    row = all_sales(sales(facts, MARCH))
    assert (row.won, row.revenue, row.created, row.created_won, row.created_open) == (2, 75, 4, 2, 2)
    [counted] = counts(facts)
    assert (counted.all_deals, counted.open, counted.won, counted.reopened) == (4, 2, 2, 0)
    under_way = {(stage.pipeline_id, stage.stage_id): stage.open_deals for stage in open_pipeline(facts)}
    assert (under_way["1", "20"], under_way["2", "40"], under_way["1", "30"]) == (2, 0, 0)


def test_another_currency_counts_as_a_deal_and_never_in_a_sum(conn: Connection) -> None:
    past = Past()
    won = (("2026-03-02 10:00:00", "10"), ("2026-03-03 10:00:00", "142"))
    past.deal(*won, price="100")
    past.deal(*won, price="7", currency="USD")
    row = all_sales(sales(past.facts(conn), MARCH))
    assert (row.won, row.revenue, row.avg_cheque, row.avg_cheque_nonzero) == (2, 100, 50, 100)


def test_pace_stands_on_working_days_up_to_the_last_reported_one(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-02-01 10:00:00", "10"), ("2026-03-03 10:00:00", "142"), price="300", manager="1")
    past.deal(("2026-02-01 10:00:00", "10"), ("2026-03-04 10:00:00", "142"), price="120", manager="")
    plans = [
        Plan("1", date(2026, 3, 1), "revenue", Decimal(2200)),
        Plan("2", date(2026, 3, 1), "revenue", Decimal(1100)),
        Plan("1", date(2026, 2, 1), "revenue", Decimal(99)),
    ]
    # March 2026 has 22 weekdays; up to Monday 9 March there are 6 of them.
    rows = {(row.manager, row.metric): row for row in pace(past.facts(conn, as_of="2026-03-10"), plans)}
    anna = rows["1", "revenue"]
    assert (anna.days_elapsed, anna.days_total, anna.expected, anna.pace_percent) == (6, 22, 600, 50)
    assert (anna.forecast, anna.forecast_percent) == (1100, 50)
    assert anna.needed_per_day == Decimal(1900) / 16
    boris = rows["2", "revenue"]
    assert (boris.fact, boris.expected, boris.pace_percent, boris.forecast) == (0, 300, 0, 0)
    nobody = rows["(none)", "revenue"]
    assert (nobody.fact, nobody.plan, nobody.expected, nobody.needed_per_day) == (120, None, None, None)
    whole = rows["all", "revenue"]
    assert (whole.fact, whole.plan, whole.expected) == (420, 3300, 900)
    assert (rows["all", "won"].fact, rows["all", "won"].plan) == (2, None)
    assert ("1", "leads") not in rows


def test_pace_before_the_first_working_day_and_after_the_last_is_undefined(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-08-01 10:00:00", "10"), ("2026-08-01 11:00:00", "142"), price="300", manager="1")
    plans = [Plan("1", date(2026, 8, 1), "revenue", Decimal(2100))]
    facts = past.facts(conn, as_of="2026-08-02")  # 1 August 2026 is a Saturday
    first = next(row for row in pace(facts, plans) if (row.manager, row.metric) == ("1", "revenue"))
    assert (first.days_elapsed, first.expected, first.pace_percent, first.forecast) == (0, 0, None, None)
    facts.as_of = facts.as_of.replace(month=9, day=1)
    last = next(row for row in pace(facts, plans) if (row.manager, row.metric) == ("1", "revenue"))
    assert (last.days_elapsed, last.needed_per_day, last.forecast) == (21, None, 300)


def test_kpi_plan_of_a_day_lies_on_working_days_and_weeks_are_whole(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-04-01 10:00:00", "10"))
    past.deal(("2026-03-01 10:00:00", "10"))  # a Sunday
    plans = [
        Plan("1", date(2026, 3, 1), "leads", Decimal(22)),
        Plan("1", date(2026, 4, 1), "leads", Decimal(44)),
    ]
    rows = {
        (row.period, row.start): row
        for row in kpi(
            past.facts(conn, as_of="2026-04-10"), Period(date(2026, 3, 15), date(2026, 4, 1)), plans
        )
    }
    sunday = rows["day", date(2026, 3, 1)]
    assert (sunday.fact, sunday.plan, sunday.percent) == (1, 0, None)
    assert rows["day", date(2026, 3, 2)].plan == 1
    assert ("day", date(2026, 3, 7)) not in rows
    last_week = rows["week", date(2026, 3, 30)]  # two days of March, three of April
    assert (last_week.fact, last_week.plan, last_week.percent) == (1, 8, Decimal("12.5"))
    assert ("week", date(2026, 2, 23)) not in rows
    assert ("month", date(2026, 4, 1)) not in rows
    assert (rows["month", date(2026, 3, 1)].fact, rows["month", date(2026, 3, 1)].plan) == (1, 22)


def test_open_amount_is_weighted_by_how_deals_that_entered_the_stage_ended(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-01-01 10:00:00", "10"), ("2026-01-02 10:00:00", "20"), ("2026-01-03 10:00:00", "142"))
    past.deal(("2026-01-01 10:00:00", "10"), ("2026-01-02 10:00:00", "20"), ("2026-01-03 10:00:00", "143"))
    past.deal(("2026-01-01 10:00:00", "10"), ("2026-01-03 10:00:00", "143"))
    past.deal(("2026-03-01 10:00:00", "10"), ("2026-03-03 10:00:00", "20"), price="1000")
    past.deal(("2026-03-01 10:00:00", "30"), price="")
    rows = {row.stage_id: row for row in open_pipeline(past.facts(conn)) if row.pipeline_id == "1"}
    assert (rows["10"].open_deals, rows["10"].win_chance) == (0, pytest.approx(1 / 3))
    assert (rows["20"].amount, rows["20"].win_chance, rows["20"].weighted_amount) == (1000, 0.5, 500)
    assert (rows["30"].open_deals, rows["30"].amount, rows["30"].win_chance) == (1, 0, None)
