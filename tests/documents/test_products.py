"""Pictures, descriptions and options of products, and every slip of `products.yml` with its line."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connector.documents.products import MAX_OPTIONS, Products, read_products
from connector.errors import ConfigError

PICTURES = ("machine.png", "mill.jpg")
TEXT = """
товары:
  Кофемашина:
    картинка: machine.png
    описание: Две группы.
  Кофемашина «Полюс»:
    картинка: mill.jpg
опции:
  - {название: Кофемолка, цена: 45 000, для: кофемашина}
  - {название: Обучение, цена: "9900.50", описание: Полдня.}
  - {название: Чайник, цена: 1, для: [Чай, Самовар]}
"""


def products(text: str = TEXT) -> Products:
    return read_products(text, PICTURES)


def test_the_longest_beginning_of_a_name_wins() -> None:
    look = products().look
    assert [found.picture if (found := look(name)) else None for name in NAMES] == [
        "machine.png",
        "mill.jpg",
        None,
    ]


NAMES = ("КОФЕМАШИНА «Аврора»", "Кофемашина  «Полюс» 2026", "Монтаж")


def test_options_are_those_of_the_products_that_are_not_there_yet() -> None:
    def offered(*names: str) -> list[tuple[str, Decimal]]:
        return [(option.name, option.price) for option in products().options_for(names)]

    mill, training = ("Кофемолка", Decimal(45_000)), ("Обучение", Decimal("9900.50"))
    assert offered("Кофемашина «Аврора»") == [mill, training]
    assert offered("Кофемашина", "кофемолка") == [training]
    assert offered("Самовар тульский") == [training, ("Чайник", Decimal(1))]


def test_no_client_is_given_more_options_than_he_can_compare() -> None:
    many = "опции:\n" + "".join(f"  - {{название: Опция {n}, цена: {n + 1}}}\n" for n in range(20))
    assert len(products(many).options_for(["Товар"])) == MAX_OPTIONS


def test_without_the_file_there_is_nothing_to_show() -> None:
    assert products("").look("Кофемашина") is None
    assert products("").options_for(["Кофемашина"]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("товар: {}", "documents/products.yml:1  неизвестный ключ «товар»; может быть, «товары»?"),
        (
            "товары:\n  А: {картинка: machin.png}",
            "documents/products.yml:2  в папке pictures нет файла «machin.png»; может быть, «machine.png»?",
        ),
        ("товары:\n  А: {фото: x}", "documents/products.yml:2  у товара могут быть «картинка» и «описание»"),
        (
            "опции:\n  - {название: А}",
            "documents/products.yml:2  у опции нужны «название» и «цена», могут быть «описание» и «для»",
        ),
        (
            "опции:\n  - {название: А, цена: дорого}",
            "documents/products.yml:2  сумма «дорого»: нужно число, например 10 000 000",
        ),
    ],
)
def test_slips_are_named_with_their_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        products(text)
    assert [str(problem) for problem in raised.value.problems] == [message]
