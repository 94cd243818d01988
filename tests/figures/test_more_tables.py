"""Tables beside those of the definitions' export: what a loss was in full, and where stages fail."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy import Connection

from connector.domain import Period
from connector.figures.loss_detail import loss_detail
from connector.figures.stage_flow import stage_flow
from tests.figures.past import Past

MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))


def test_a_loss_is_told_with_its_stage_channel_manager_money_and_deals(conn: Connection) -> None:
    past = Past()
    for reason, price in (("1", "100.50"), ("1", ""), ("", "7")):
        past.deal(("2026-03-02 10:00:00", "20"), ("2026-03-03 10:00:00", "143"), reason=reason, price=price)
    past.deal(("2026-03-02 10:00:00", "20"), ("2026-03-03 10:00:00", "143"), reason="1", manager="")
    past.deal(("2026-03-02 10:00:00", "20"), ("2026-04-03 10:00:00", "143"), reason="1")
    past.deal(("2026-03-02 10:00:00", "20"), ("2026-03-03 10:00:00", "143"), reason="1", deleted=True)
    rows = [
        (r.reason, r.stage, r.channel, r.manager, r.deals, r.lost_amount, r.deal_ids)
        for r in loss_detail(past.facts(conn, as_of="2026-05-01"), MARCH)
    ]
    assert rows == [
        ("Дорого", "1:20", "site", "1", 2, Decimal("100.50"), "1 2"),
        ("Дорого", "1:20", "site", "(none)", 1, Decimal(100), "4"),
        ("(not set)", "1:20", "site", "1", 1, Decimal(7), "3"),
    ]


def test_skips_returns_and_dead_ends_are_counted_at_their_stage(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-03-02 10:00:00", "10"), ("2026-03-03 10:00:00", "30"), ("2026-03-04 10:00:00", "142"))
    past.deal(("2026-03-02 10:00:00", "10"), ("2026-03-03 10:00:00", "20"), ("2026-03-04 10:00:00", "143"))
    past.deal(("2026-03-02 10:00:00", "20"), ("2026-03-03 10:00:00", "142"), ("2026-03-04 10:00:00", "20"))
    past.deal(("2026-03-02 10:00:00", "20"), ("2026-03-03 10:00:00", "143"), ("2026-03-04 10:00:00", "10"))
    # Another pipeline is neither skipped nor a way back.
    past.deal(("2026-03-02 10:00:00", "30"), ("2026-03-03 10:00:00", "9", "2"))
    rows = {r.stage_id: r for r in stage_flow(past.facts(conn), MARCH)}
    first, meeting, bill, other = rows["10"], rows["20"], rows["30"], rows["9"]
    assert (first.passed, first.returned, first.skipped, first.left, first.lost) == (3, 1, 0, 2, 0)
    assert (meeting.passed, meeting.returned, meeting.skipped, meeting.skip_share) == (4, 1, 1, 0.2)
    assert (meeting.left, meeting.lost, meeting.dead_end_share) == (3, 2, 2 / 3)
    assert (bill.passed, bill.skipped, bill.left, bill.lost) == (2, 1, 1, 0)
    assert (other.passed, other.returned, other.skipped) == (1, 0, 0)
