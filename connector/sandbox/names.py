"""Invented people and companies, in Russian; the same number always names the same one."""

from __future__ import annotations

import re
from typing import NamedTuple

MEN = ("Алексей", "Дмитрий", "Иван", "Кирилл", "Максим", "Николай", "Павел", "Сергей", "Тимур", "Юрий")
WOMEN = ("Алина", "Виктория", "Екатерина", "Ирина", "Ксения", "Людмила", "Наталья", "Полина", "Светлана")
FATHERS = (
    ("Андреевич", "Андреевна"),
    ("Викторович", "Викторовна"),
    ("Игоревич", "Игоревна"),
    ("Михайлович", "Михайловна"),
    ("Олегович", "Олеговна"),
    ("Петрович", "Петровна"),
    ("Семёнович", "Семёновна"),
    ("Юрьевич", "Юрьевна"),
)
SURNAMES = (
    "Берёзов", "Васильков", "Вишнёв", "Грибов", "Дубравин", "Ежевикин", "Желудев", "Звёздин", "Ивняков",
    "Калинин", "Клевер", "Ландышев", "Лесной", "Малинин", "Морошкин", "Мятин", "Облаков", "Озёров",
    "Орешкин", "Полынин", "Ракитин", "Родников", "Рябинин", "Садовский", "Смородин", "Снегов",
    "Тополев", "Черёмухин", "Шиповников", "Яблочкин",
)  # fmt: skip
POSTS = ("Директор по развитию", "Руководитель АХО", "Закупщик", "Офис-менеджер", "Управляющий", "Совладелец")

FORMS = ("ООО", "ООО", "ООО", "АО", "ООО", "ООО")
BRANDS_A = (
    "Северный", "Зелёный", "Солнечный", "Тихий", "Быстрый", "Ясный", "Добрый", "Янтарный", "Лунный",
    "Снежный", "Хрустальный", "Золотой", "Синий", "Утренний", "Дальний", "Лесной", "Речной",
    "Морской", "Горный", "Весенний", "Вольный", "Тёплый", "Звонкий", "Верный", "Светлый",
    "Сосновый", "Кедровый", "Цветной", "Уютный", "Дивный", "Ранний", "Белый", "Медный", "Озёрный",
    "Степной", "Полярный", "Сказочный", "Крылатый", "Радужный", "Каменный",
)  # fmt: skip
BRANDS_B = (
    "ветер", "берег", "двор", "квартал", "парк", "мост", "причал", "рассвет", "луч", "каштан",
    "терем", "маяк", "компас", "ручей", "сад", "остров", "родник", "клён", "дом", "фрегат", "якорь",
    "парус", "холм", "утёс", "каньон", "базар", "ковчег", "караван", "вокзал", "перекрёсток",
    "горизонт", "полдень", "ландыш", "журавль", "снегирь", "барсук", "лось", "ёж", "дрозд",
    "тополь", "бор", "залив", "прилив", "мыс", "атолл", "колодец",
)  # fmt: skip
BRANDS_C = (
    "Ромашка", "Василёк", "Незабудка", "Одуванчик", "Лютик", "Подснежник", "Колокольчик", "Мечта",
    "Радуга", "Вымпел", "Карусель", "Пуговица", "Самовар", "Калейдоскоп", "Пряник", "Бубенец",
    "Матрёшка", "Теремок",
)  # fmt: skip
CITIES = ("Вымышленск", "Примерово", "Образцовск", "Тестоград", "Новоучебинск")
STREETS = ("Учебная", "Примерная", "Образцовая", "Опытная", "Пробная", "Черновая")

_CYRILLIC = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
_SOUNDS = (
    "a", "b", "v", "g", "d", "e", "e", "zh", "z", "i", "y", "k", "l", "m", "n", "o", "p", "r", "s", "t", "u",
    "f", "kh", "ts", "ch", "sh", "sch", "", "y", "", "e", "yu", "ya",
)  # fmt: skip
_LATIN = str.maketrans(dict(zip(_CYRILLIC, _SOUNDS, strict=True)))


class Person(NamedTuple):
    last_name: str
    name: str
    second_name: str
    is_woman: bool

    @property
    def full(self) -> str:
        """«Берёзова Алина Олеговна»."""
        return f"{self.last_name} {self.name} {self.second_name}"


def person(number: int) -> Person:
    """The person with that number."""
    is_woman = bool(number & 1)
    rest = number >> 1
    names = WOMEN if is_woman else MEN
    rest, name = divmod(rest, len(names))
    rest, father = divmod(rest, len(FATHERS))
    surname = SURNAMES[(rest + name * 7 + father * 3) % len(SURNAMES)]
    return Person(_of(surname, is_woman), names[name], FATHERS[father][is_woman], is_woman)


def company(number: int) -> str:
    """The name of the company with that number: «ООО «Северный ветер»»."""
    form = FORMS[number % len(FORMS)]
    brands = len(BRANDS_A) * len(BRANDS_B)
    place, round_ = number % (brands + len(BRANDS_C)), number // (brands + len(BRANDS_C))
    if place < len(BRANDS_C):
        brand = BRANDS_C[place]
    else:
        place -= len(BRANDS_C)
        # Both words change from one company to the next.
        first, second = place % len(BRANDS_A), (place // len(BRANDS_A) + place) % len(BRANDS_B)
        brand = f"{BRANDS_A[first]} {BRANDS_B[second]}"
    return f"{form} «{brand}»" if not round_ else f"{form} «{brand}-{round_ + 1}»"


def latin(text: str) -> str:
    """Letters and digits of `text` in Latin, words joined by «-»; for addresses."""
    return re.sub("[^a-z0-9]+", "-", text.lower().translate(_LATIN)).strip("-")


def _of(surname: str, is_woman: bool) -> str:
    if not is_woman:
        return surname
    if surname.endswith("ой"):
        return surname[:-2] + "ая"
    if surname.endswith("ский"):
        return surname[:-2] + "ая"
    return surname + "а" if surname.endswith(("в", "н")) else surname
