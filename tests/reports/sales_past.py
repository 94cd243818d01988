"""A November whose report can be worked out by hand: the moment is Tuesday, 24 November 2026, in Moscow."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from connector.figures.plan import Plan
from tests.figures.past import Past

ZONE = "Europe/Moscow"

#: Midnight of 24 November in Moscow.
AS_OF = "2026-11-23 21:00:00"

PLANS = [
    Plan("1", date(2026, 11, 1), "revenue", Decimal(1_260_000)),
    Plan("2", date(2026, 11, 1), "revenue", Decimal(840_000)),
]


def november() -> Past:
    """Six sales, three losses, two new deals; 16 of 21 weekdays have passed."""
    past = Past()
    for day in range(2, 7):
        past.deal(
            ("2026-10-30 08:00:00", "10"),
            (f"2026-11-0{day} 08:00:00", "142"),
            price="100000",
            manager="1",
            name=f"ООО «Ромашка», поставка {day}",
        )
    past.deal(
        ("2026-10-30 08:00:00", "10"),
        ("2026-11-23 08:00:00", "142"),
        price="200000",
        manager="2",
        name="«Северный ветер»",
    )
    past.deal(
        ("2026-11-02 08:00:00", "10"),
        ("2026-11-03 08:00:00", "20"),
        ("2026-11-23 09:00:00", "143"),
        price="70000",
        manager="2",
        reason="1",
        name="ООО «Лютик»",
    )
    past.deal(
        ("2026-11-02 08:00:00", "10"),
        ("2026-11-17 09:00:00", "143"),
        price="30000",
        manager="10",
        name="ООО «Заря»",
    )
    past.deal(
        ("2026-10-02 08:00:00", "10"),
        ("2026-10-05 09:00:00", "143"),
        price="50000",
        manager="10",
        reason="2",
        name="ООО «Маяк»",
    )
    past.deal(("2026-11-23 20:59:59", "10"), price="", manager="", name="Заявка с сайта")
    past.deal(("2026-11-23 21:00:00", "10"), price="999", manager="1", name="Уже следующий день")
    return past
