"""Amounts in words, in the form that Russian accounting uses: «Десять тысяч рублей 25 копеек».

Pure arithmetic on whole kopecks. Knows nothing of documents, and never sees a float.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

#: One thing, two to four things, five and more: «рубль», «рубля», «рублей».
Forms = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Currency:
    """How a currency and its hundredth are counted; `is_feminine`: «одна гривна»."""

    unit: Forms
    hundredth: Forms
    is_feminine: bool = False


CURRENCIES: dict[str, Currency] = {
    "RUB": Currency(("рубль", "рубля", "рублей"), ("копейка", "копейки", "копеек")),
    "USD": Currency(("доллар США", "доллара США", "долларов США"), ("цент", "цента", "центов")),
    "EUR": Currency(("евро", "евро", "евро"), ("цент", "цента", "центов")),
    "CNY": Currency(("китайский юань", "китайских юаня", "китайских юаней"), ("фэнь", "фэня", "фэней")),
    "KZT": Currency(("тенге", "тенге", "тенге"), ("тиын", "тиына", "тиынов")),
    "BYN": Currency(
        ("белорусский рубль", "белорусских рубля", "белорусских рублей"), ("копейка", "копейки", "копеек")
    ),
    "UZS": Currency(("узбекский сум", "узбекских сума", "узбекских сумов"), ("тийин", "тийина", "тийинов")),
    "KGS": Currency(("сом", "сома", "сомов"), ("тыйын", "тыйына", "тыйынов")),
    "AMD": Currency(("армянский драм", "армянских драма", "армянских драмов"), ("лума", "лумы", "лум")),
    "GEL": Currency(("лари", "лари", "лари"), ("тетри", "тетри", "тетри")),
    "AZN": Currency(
        ("азербайджанский манат", "азербайджанских маната", "азербайджанских манатов"),
        ("гяпик", "гяпика", "гяпиков"),
    ),
    "TRY": Currency(
        ("турецкая лира", "турецкие лиры", "турецких лир"), ("куруш", "куруша", "курушей"), is_feminine=True
    ),
    "AED": Currency(("дирхам ОАЭ", "дирхама ОАЭ", "дирхамов ОАЭ"), ("филс", "филса", "филсов")),
    "GBP": Currency(
        ("фунт стерлингов", "фунта стерлингов", "фунтов стерлингов"), ("пенс", "пенса", "пенсов")
    ),
}

_TO_TWENTY = (
    "",
    *("один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять", "десять"),
    *("одиннадцать", "двенадцать", "тринадцать", "четырнадцать", "пятнадцать"),
    *("шестнадцать", "семнадцать", "восемнадцать", "девятнадцать"),
)
_TENS = (
    *("", "", "двадцать", "тридцать", "сорок", "пятьдесят"),
    *("шестьдесят", "семьдесят", "восемьдесят", "девяносто"),
)
_HUNDREDS = (
    *("", "сто", "двести", "триста", "четыреста", "пятьсот"),
    *("шестьсот", "семьсот", "восемьсот", "девятьсот"),
)
_FEMININE = {"один": "одна", "два": "две"}
_SCALES: tuple[Forms, ...] = (
    ("", "", ""),
    ("тысяча", "тысячи", "тысяч"),
    *(
        (stem, stem + "а", stem + "ов")
        for stem in (
            *("миллион", "миллиард", "триллион", "квадриллион", "квинтиллион"),
            *("секстиллион", "септиллион", "октиллион", "нониллион", "дециллион"),
        )
    ),
)
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?", re.ASCII)


def amount_in_words(amount: Decimal | int | str, currency: str = "RUB") -> str:
    """The amount in words with a capital letter, hundredths as two digits: «Сорок один рубль 05 копеек».

    amount: in units of the currency, an int too (41 is forty-one rubles); a str may part thousands by spaces
    and hundredths by a dot or a comma.
    Errors: ValueError for parts of a hundredth, for what is no number, for an unknown currency and for 10**36
    or more; TypeError for a float, which has lost kopecks already.
    """
    try:
        names = CURRENCIES[currency]
    except KeyError:
        raise ValueError(
            f"сумма прописью: валюта {currency!r} неизвестна, есть {', '.join(CURRENCIES)}"
        ) from None
    total = in_hundredths(amount)
    units, hundredths = divmod(abs(total), 100)
    sign = "минус " if total < 0 else ""
    words = (
        f"{sign}{number_in_words(units, feminine=names.is_feminine)} {plural(units, names.unit)} "
        f"{hundredths:02} {plural(hundredths, names.hundredth)}"
    )
    return words[0].upper() + words[1:]


def in_hundredths(amount: Decimal | int | str) -> int:
    """The amount in whole kopecks (cents, …). Raises as `amount_in_words` does."""
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int | str):
        raise TypeError(f"сумма должна быть Decimal, int или str, а не {type(amount).__name__}")
    if isinstance(amount, int):
        return amount * 100
    if isinstance(amount, str):
        text = re.sub(r"[ \u00a0\u202f]", "", amount.strip())
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"это не сумма: {amount[:40]!r}")
        amount = Decimal(text.replace(",", "."))
    if not amount.is_finite():
        raise ValueError(f"это не сумма: {amount}")
    # Exact whatever the precision of the current decimal context: no arithmetic on Decimal here.
    numerator, denominator = amount.as_integer_ratio()
    kopecks, rest = divmod(numerator * 100, denominator)
    if rest:
        raise ValueError(f"в сумме {amount} есть доли копейки")
    return kopecks


def number_in_words(number: int, *, feminine: bool = False) -> str:
    """A whole number in words, nominative, lower case; «ноль» for 0. ValueError for 10**36 and more."""
    if number < 0:
        return "минус " + number_in_words(-number, feminine=feminine)
    if number == 0:
        return "ноль"
    if number >= 1000 ** len(_SCALES):
        raise ValueError(f"число {number} слишком велико, чтобы написать его словами")
    words: list[str] = []
    for power in range(len(_SCALES) - 1, -1, -1):
        group = number // 1000**power % 1000
        if not group:
            continue
        words += _group(group, feminine=power == 1 or (power == 0 and feminine))
        if power:
            words.append(plural(group, _SCALES[power]))
    return " ".join(words)


def plural(number: int, forms: Forms) -> str:
    """The form that stands after `number`: 1 рубль, 2 рубля, 5 рублей, 11 рублей, 21 рубль."""
    last_two, last = abs(number) % 100, abs(number) % 10
    if 11 <= last_two <= 14:
        return forms[2]
    if last == 1:
        return forms[0]
    return forms[1] if 2 <= last <= 4 else forms[2]


def _group(number: int, *, feminine: bool) -> list[str]:
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10) if rest >= 20 else (0, rest)
    words = [_HUNDREDS[hundreds], _TENS[tens], _TO_TWENTY[ones]]
    if feminine:
        words[2] = _FEMININE.get(words[2], words[2])
    return [word for word in words if word]
