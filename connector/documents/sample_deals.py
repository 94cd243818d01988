"""Three invented deals that try a template before a real one does: each trips it in another way.

All names, numbers and addresses are made up; requisites pass the checks of their check digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from connector.domain import Company, Contact, Deal, DealCard, Outcome, ProductRow, Requisites, User

#: Samples are dated on this day, so that they look the same on every day.
DAY = date(2026, 11, 24)
_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MANAGER = User("1", "Примерова Мария Игоревна", "m.primerova@sales.example")


@dataclass(frozen=True, slots=True)
class Sample:
    """`title` for people; `pipeline` and `stage` as the deal's; `is_without_vat`: whoever sells pays none."""

    title: str
    card: DealCard
    pipeline: str = "Продажи"
    stage: str = "Новая"
    is_without_vat: bool = False


def _deal(name: str, amount: Decimal, tags: tuple[str, ...] = ()) -> Deal:
    return Deal(
        account="sample",
        id="1001",
        name=name,
        pipeline_id="1",
        stage_id="1",
        outcome=Outcome.OPEN,
        amount=amount,
        currency="RUB",
        responsible_id="1",
        created_at=_AT,
        updated_at=_AT,
        tags=tags,
    )


def _bank(**own: str) -> Requisites:
    return Requisites(
        address="999002, г. Примерово, ул. Учебная, д. 3",
        bank_name="АО «Учебный Банк»",
        bik="044525225",
        account="40702810200000000001",
        corr_account="30101810400000000225",
        **own,
    )


_ROWS = tuple(
    ProductRow(
        f"Позиция {number}: станок «Пример-{number}» с доставкой и пусконаладкой",
        Decimal(number),
        Decimal("1220.50"),
        "шт.",
        Decimal("79.50") if number % 4 == 0 else Decimal(0),
        Decimal(22) if number % 3 else Decimal(10),
    )
    for number in range(1, 13)
)
_LONG = (
    "Индивидуальный предприниматель Примеров-Образцовский Константин Владимирович: розничная и оптовая "
    "торговля оборудованием для кофеен, пекарен и небольших гостиниц на побережье"
)
_HOSTILE = '<script>alert(1)</script> {{ 7*7 }} {% if %} "O\'Нил" & Сыновья \\ ` * _ [x](http://y.example) №1'

SAMPLES: Mapping[str, Sample] = {
    "ooo": Sample(
        "ООО, 12 позиций с НДС",
        DealCard(
            _deal("Поставка станков", sum((row.quantity * row.price for row in _ROWS), Decimal(0))),
            (
                Contact(
                    "11",
                    "Образцова Анна Олеговна",
                    emails=("a.obraztsova@client.example",),
                    phones=("+7 495 000-11-22",),
                    post="Директор по развитию",
                    is_main=True,
                ),
            ),
            Company(
                "21",
                "ООО «Образец»",
                phones=("+7 495 000-33-44",),
                requisites=_bank(
                    full_name="Общество с ограниченной ответственностью «Образец»",
                    inn="7707083893",
                    kpp="770701001",
                    ogrn="1027700132195",
                    director_name="Лесной Иван Петрович",
                    director_post="Генеральный директор",
                    basis="Устава",
                ),
            ),
            _ROWS,
        ),
    ),
    "ip": Sample(
        "ИП, одна позиция без НДС, длинное название",
        DealCard(
            _deal("Настройка", Decimal("15000.00")),
            (Contact("12", "Примеров Константин", emails=("k.primerov@client.example",), is_main=True),),
            Company(
                "22",
                _LONG,
                requisites=_bank(
                    full_name=_LONG,
                    inn="500100732259",
                    ogrn="304500116000157",
                    director_name="Примеров Константин Владимирович",
                    basis="Свидетельства",
                ),
            ),
            (ProductRow("Настройка и обучение", Decimal(1), Decimal("15000.00"), "усл."),),
        ),
        is_without_vat=True,
    ),
    "person": Sample(
        "Частное лицо, в полях разметка и знаки",
        DealCard(
            _deal(_HOSTILE, Decimal("999.99"), (_HOSTILE,)),
            (
                Contact(
                    "13",
                    f"Петрова Ольга {_HOSTILE}",
                    emails=("o.petrova@client.example",),
                    phones=("+7 900 000-00-00",),
                    post=_HOSTILE,
                    is_main=True,
                    fields={"Паспорт": "00 00 000000", "Адрес": _HOSTILE},
                ),
            ),
            None,
            (ProductRow(_HOSTILE, Decimal(1), Decimal("999.99"), "шт."),),
        ),
    ),
}
