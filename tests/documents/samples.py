"""A deal with everything a document needs; tests take a part away and look what happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from connector.documents import context
from connector.documents.kit import Kit
from connector.domain import Company, Contact, Deal, DealCard, Outcome, ProductRow, Requisites, User

TEMPLATES = Path(__file__).parents[2] / "templates"
DAY = date(2026, 11, 24)
MANAGER = User("7", "Мария Соколова", "m.sokolova@severny-veter.example")

REQUISITES = Requisites(
    full_name="Общество с ограниченной ответственностью «Ромашка»",
    inn="7707083893",
    kpp="770701001",
    ogrn="1027700132195",
    address="999002, г. Примерово, ул. Учебная, д. 3",
    bank_name="АО «Учебный Банк»",
    bik="044525225",
    account="40702810200000000001",
    corr_account="30101810400000000225",
    director_name="Лесной Иван Петрович",
    director_post="Генеральный директор",
    basis="Устава",
)
CONTACT = Contact(
    "3",
    "Дубравина Анна Олеговна",
    emails=("a.dubravina@romashka.example",),
    phones=("+7 495 000-11-22",),
    post="Директор по развитию",
    is_main=True,
)
COMPANY = Company("5", "ООО «Ромашка»", phones=("+7 495 000-33-44",), requisites=REQUISITES)
ROWS = (
    ProductRow("Кофемашина «Аврора»", Decimal(2), Decimal("183000.50"), "шт", Decimal(7000), Decimal(22)),
    ProductRow("Монтаж и пусконаладка", Decimal(1), Decimal("24400"), "усл", Decimal(0), Decimal(22)),
    ProductRow(
        "Кофе в зёрнах «Экваториальный»", Decimal("12.5"), Decimal("1980"), "кг", vat_rate=Decimal(10)
    ),
)
DEAL = Deal(
    account="main",
    id="101",
    name="ООО «Ромашка» — кофемашины",
    pipeline_id="1",
    stage_id="10",
    outcome=Outcome.OPEN,
    amount=Decimal("415151.00"),
    currency="RUB",
    responsible_id="7",
    created_at=datetime(2026, 11, 2, 9, tzinfo=UTC),
    updated_at=datetime(2026, 11, 24, 9, tzinfo=UTC),
    tags=("гостиницы",),
)
CARD = DealCard(DEAL, (CONTACT,), COMPANY, ROWS)


@lru_cache(maxsize=1)
def kit() -> Kit:
    return Kit.load(TEMPLATES)


def build(card: DealCard = CARD, kind: str | None = "invoice", **changes: Any) -> dict[str, Any]:
    """The context of `card` with fixed surroundings."""
    options: dict[str, Any] = {
        "kit": kit(),
        "kind": kind,
        "responsible": MANAGER,
        "stage_name": "Счёт выставлен",
        "pipeline_name": "Продажи",
        "number": kit().documents[kind].number(7, DAY) if kind in kit().documents else None,
        "issued_on": DAY,
    }
    return context.build(card, **{**options, **changes})


def with_requisites(**changes: str) -> DealCard:
    return replace(CARD, company=replace(COMPANY, requisites=replace(REQUISITES, **changes)))
