"""A CRM's directory and a deal to try playbooks on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from connector.domain import (
    Company,
    Contact,
    Deal,
    DealCard,
    LossReason,
    Outcome,
    Pipeline,
    Requisites,
    Stage,
    User,
)

_NAMES = (
    "Новая заявка",
    "Квалификация",
    "Встреча назначена",
    "Встреча проведена",
    "Договор отправлен",
    "Счёт выставлен",
)


def _pipeline(pipeline_id: str, name: str, stages: tuple[str, ...]) -> Pipeline:
    opened = [
        Stage(pipeline_id, str(20 + sort), stage, sort, Outcome.OPEN) for sort, stage in enumerate(stages)
    ]
    closed = [
        Stage(pipeline_id, "142", "Успешно реализовано", 1000, Outcome.WON),
        Stage(pipeline_id, "143", "Закрыто и не реализовано", 1001, Outcome.LOST),
    ]
    return Pipeline(pipeline_id, name, (*opened, *closed))


PIPELINES = (
    _pipeline("1", "Продажи", _NAMES),
    _pipeline("2", "Повторные продажи", ("Потребность", "Предложение отправлено", "Счёт выставлен")),
)
USERS = (
    User("11", "Анна Азарова", "anna@example.ru"),
    User("12", "Борис Буров", "boris@example.ru"),
    User("13", "Вера Ветрова", "vera@example.ru", is_active=False),
    User("7", "Ольга Директорова", "owner@example.ru", is_admin=True),
)
LOSS_REASONS = (LossReason("1", "Дорого"), LossReason("2", "Выбрали конкурента"))

_MOMENT = datetime(2026, 11, 24, 9, tzinfo=UTC)

CARD = DealCard(
    deal=Deal(
        account="main",
        id="501",
        name="Поставка чая",
        pipeline_id="1",
        stage_id="23",
        outcome=Outcome.OPEN,
        amount=Decimal("120000.50"),
        currency="RUB",
        responsible_id="11",
        created_at=_MOMENT,
        updated_at=_MOMENT,
        channel="Сайт",
        tags=("vip",),
        fields={"Отрасль": "Торговля", "Город": ""},
    ),
    contacts=(
        Contact("1", "Пётр Первый", emails=("first@example.ru",)),
        Contact(
            "2", "Мария Главная", emails=("main@example.ru", "b@example.ru"), post="директор", is_main=True
        ),
    ),
    company=Company("9", "ООО «Ромашка»", requisites=Requisites(inn="7707083893")),
)


def card(**changes: object) -> DealCard:
    """The sample card with fields of its deal changed."""
    return replace(CARD, deal=replace(CARD.deal, **changes))  # type: ignore[arg-type]
