"""The export format: columns, order, empty cells, digits."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import Connection

from connector.domain import Period
from connector.figures.pace import Plan
from connector.figures.tables import FIGURES, Question
from tests.figures.past import Past

COLUMNS = {
    "counts": "all_deals,deleted,deals,open,won,lost,reopened,moved_back,lost_without_reason",
    "dwell": "window,pipeline_id,stage_id,name,visits,median_s,p90_s,mean_s,deals,deal_median_s,deal_p90_s,"
    "open_now,open_median_age_s",
    "funnel_cohort": "pipeline_id,stage_id,name,cohort,entered,reached,conv_from_first,conv_from_prev",
    "funnel_cohort_by_channel": "channel,pipeline_id,stage_id,name,cohort,entered,reached,conv_from_first,"
    "conv_from_prev",
    "funnel_cohort_by_manager": "manager,pipeline_id,stage_id,name,cohort,entered,reached,conv_from_first,"
    "conv_from_prev",
    "funnel_period": "pipeline_id,stage_id,name,entered_deals,entries,exits_forward,exits_back,exits_won,"
    "exits_lost,conv_from_prev",
    "kpi": "period,manager,start,metric,fact,plan,percent",
    **dict.fromkeys(
        ("lead_quality_by_channel", "lead_quality_by_source"),
        "key,leads,reacted,reaction_median_s,reaction_p90_s,reaction_work_median_s,qualified,qualified_share,"
        "key_stage,key_share,won,revenue",
    ),
    "loss_reasons": "dim,key,loss_reason_id,reason,deals,share,lost_amount",
    "loss_detail": "loss_reason_id,reason,stage,channel,manager,deals,lost_amount,deal_ids",
    "stage_flow": "pipeline_id,stage_id,name,passed,returned,skipped,skip_share,left,lost,dead_end_share",
    "open_pipeline": "pipeline_id,stage_id,name,open_deals,amount,win_chance,weighted_amount",
    "pace": "manager,metric,fact,plan,days_elapsed,days_total,expected,pace_percent,forecast,"
    "forecast_percent,needed_per_day",
    "reverse_funnel": "pipeline,goal,avg_cheque,won,won_ceil,won_chain,with_invoice,with_invoice_ceil,"
    "with_invoice_chain,with_meeting,with_meeting_ceil,with_meeting_chain,with_call,with_call_ceil,"
    "with_call_chain,leads,leads_ceil,leads_chain,activities_invoices,activities_meetings,activities_calls",
    "reverse_funnel_rates": "pipeline,leads,with_call,with_meeting,with_invoice,won,revenue,calls,meetings,"
    "invoices",
    "sales": "dim,key,won,lost,win_rate,revenue,avg_cheque,avg_cheque_nonzero,cycle_median_s,cycle_p90_s,"
    "cycle_mean_s,lost_cycle_median_s,created,created_won,created_lost,created_open,created_win_rate",
}

QUESTION = Question(
    Period(date(2026, 3, 1), date(2026, 4, 1)), [Plan("1", date(2026, 3, 1), "revenue", Decimal("1000"))]
)


def exported(conn: Connection, name: str, past: Past, format: str = "csv") -> str:
    out = io.StringIO()
    table = FIGURES[name]
    rows = table.compute(past.facts(conn), QUESTION)
    table.write(rows, format, out)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_columns_are_those_of_the_definitions_even_of_an_empty_table(conn: Connection, name: str) -> None:
    assert exported(conn, name, Past()).splitlines()[0] == COLUMNS[name]


def some_sales() -> Past:
    past = Past()
    for manager, price in (("10", "100"), ("2", "50.5"), ("2", ""), ("", "0.01")):
        past.deal(("2026-03-02 10:00:00", "10"), ("2026-03-02 10:00:01", "142"), manager=manager, price=price)
    return past


def test_rows_are_sorted_by_their_keys_numbers_by_size(conn: Connection) -> None:
    rows = csv.DictReader(io.StringIO(exported(conn, "sales", some_sales())))
    assert [(row["dim"], row["key"]) for row in rows if row["dim"] in ("all", "manager")] == [
        ("all", "all"),
        ("manager", "2"),
        ("manager", "10"),
        ("manager", "(none)"),
    ]


def test_money_has_two_decimals_and_what_is_undefined_is_empty(conn: Connection) -> None:
    first = next(csv.DictReader(io.StringIO(exported(conn, "sales", some_sales()))))
    assert (first["revenue"], first["avg_cheque"], first["avg_cheque_nonzero"]) == (
        "150.51",
        "37.63",
        "50.17",
    )
    assert (first["win_rate"], first["cycle_median_s"], first["lost_cycle_median_s"]) == ("1", "1", "")


def test_json_says_the_same_as_csv(conn: Connection) -> None:
    facts, table = some_sales().facts(conn), FIGURES["pace"]
    rows = table.compute(facts, QUESTION)
    as_csv, as_json = io.StringIO(), io.StringIO()
    table.write(rows, "csv", as_csv)
    table.write(rows, "json", as_json)
    lines = json.loads(as_json.getvalue(), parse_float=str, parse_int=str)
    cells = list(csv.DictReader(io.StringIO(as_csv.getvalue())))
    assert [{key: value or "" for key, value in line.items()} for line in lines] == cells
    assert any(row["manager"] == "1" and row["needed_per_day"] == "" for row in cells)
    assert {row["fact"] for row in cells if row["metric"] == "won"} >= {"4"}


def test_an_empty_table_is_an_empty_list(conn: Connection) -> None:
    out = io.StringIO()
    FIGURES["loss_reasons"].write([], "json", out)
    assert json.loads(out.getvalue()) == []
