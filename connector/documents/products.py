"""What a proposal shows of products beside their price: a picture, a few words, what can be added."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connector.documents.yaml_file import YamlFile
from connector.errors import ConfigError
from connector.playbook.fields import money
from connector.playbook.words import fold, unknown

FILE = "documents/products.yml"

#: More options than this no client compares.
MAX_OPTIONS = 6


@dataclass(frozen=True, slots=True)
class Look:
    """A product's picture (a file of `pictures`, "" for none) and description."""

    picture: str
    text: str


@dataclass(frozen=True, slots=True)
class Option:
    """What can be added to products whose names begin so; to any when `to` is empty."""

    name: str
    price: Decimal
    text: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Products:
    """All that `products.yml` says; looks by the folded beginning of a product's name."""

    looks: Mapping[str, Look]
    options: tuple[Option, ...]

    def look(self, name: str) -> Look | None:
        """The look of the product of that name: of several beginnings that fit the longest."""
        folded = fold(name)
        fitting = [key for key in self.looks if folded.startswith(key)]
        return self.looks[max(fitting, key=len)] if fitting else None

    def options_for(self, names: Sequence[str]) -> list[Option]:
        """Options of these products that are not among them already, in their order."""
        have = [fold(name) for name in names]
        return [
            option
            for option in self.options
            if fold(option.name) not in have
            and (not option.to or any(name.startswith(to) for name in have for to in option.to))
        ][:MAX_OPTIONS]


def read_products(text: str, pictures: Collection[str]) -> Products:
    """The file's products. Raises ConfigError with every mistake; pictures: names of files that there are."""
    file = YamlFile(FILE, text)
    for key in sorted(map(str, set(file.data) - {"товары", "опции"})):
        file.problem(unknown("неизвестный ключ", key, ("товары", "опции")), key)
    looks: dict[str, Look] = {}
    for name, given in (file.data.get("товары") or {}).items():
        if not isinstance(given, dict) or not set(given) <= {"картинка", "описание"}:
            file.problem("у товара могут быть «картинка» и «описание»", "товары", str(name))
            continue
        picture = str(given.get("картинка") or "")
        if picture and picture not in pictures:
            message = unknown("в папке pictures нет файла", picture, pictures)
            file.problem(message, "товары", str(name), "картинка")
        looks[fold(str(name))] = Look(picture, str(given.get("описание") or ""))
    options = []
    for number, given in enumerate(file.data.get("опции") or []):
        option = _option(file, number, given)
        if option is not None:
            options.append(option)
    if file.problems:
        raise ConfigError(file.problems)
    return Products(looks, tuple(options))


def _option(file: YamlFile, number: int, given: Any) -> Option | None:
    known = {"название", "цена", "описание", "для"}
    if not isinstance(given, dict) or not {"название", "цена"} <= set(given) <= known:
        file.problem("у опции нужны «название» и «цена», могут быть «описание» и «для»", "опции", number)
        return None
    try:
        price = money(str(given["цена"]))
    except ValueError as error:
        file.problem(str(error), "опции", number, "цена")
        return None
    assert isinstance(price, Decimal)
    to = given.get("для") or ()
    names = (to,) if isinstance(to, str) else tuple(map(str, to))
    return Option(
        str(given["название"]), price, str(given.get("описание") or ""), tuple(fold(name) for name in names)
    )
