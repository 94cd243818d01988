"""Amounts in words against a second implementation that was written from the grammar, not from the code."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from connector.documents.words import amount_in_words, number_in_words

ONES = {
    1: "один",
    2: "два",
    3: "три",
    4: "четыре",
    5: "пять",
    6: "шесть",
    7: "семь",
    8: "восемь",
    9: "девять",
    10: "десять",
    11: "одиннадцать",
    12: "двенадцать",
    13: "тринадцать",
    14: "четырнадцать",
    15: "пятнадцать",
    16: "шестнадцать",
    17: "семнадцать",
    18: "восемнадцать",
    19: "девятнадцать",
}
TENS = {20: "двадцать", 30: "тридцать", 40: "сорок", 50: "пятьдесят", 60: "шестьдесят"} | {
    70: "семьдесят",
    80: "восемьдесят",
    90: "девяносто",
}
HUNDREDS = {100: "сто", 200: "двести", 300: "триста", 400: "четыреста", 500: "пятьсот"} | {
    600: "шестьсот",
    700: "семьсот",
    800: "восемьсот",
    900: "девятьсот",
}


def oracle_number(number: int) -> str:
    """Greedy subtraction from the largest named number down: no division into groups."""
    if number == 0:
        return "ноль"
    words: list[str] = []
    for size, one, few, many, feminine in (
        (10**12, "триллион", "триллиона", "триллионов", False),
        (10**9, "миллиард", "миллиарда", "миллиардов", False),
        (10**6, "миллион", "миллиона", "миллионов", False),
        (10**3, "тысяча", "тысячи", "тысяч", True),
    ):
        count = 0
        for step in (100, 10, 1):
            while number >= size * (count + step):
                count += step
        if count:
            words += [oracle_below_1000(count, feminine), oracle_form(count, one, few, many)]
            number -= size * count
    if number:
        words.append(oracle_below_1000(number, False))
    return " ".join(words)


def oracle_below_1000(number: int, feminine: bool) -> str:
    words = []
    for table in (HUNDREDS, TENS, ONES):
        for size in sorted(table, reverse=True):
            if number >= size:
                words.append(table[size])
                number -= size
                break
    text = " ".join(words)
    if feminine:
        for masculine, wanted in (("один", "одна"), ("два", "две")):
            if text.split()[-1] == masculine:
                text = text[: -len(masculine)] + wanted
    return text


def oracle_form(number: int, one: str, few: str, many: str) -> str:
    tail = str(number)
    if len(tail) > 1 and tail[-2] == "1":
        return many
    return {"1": one, "2": few, "3": few, "4": few}.get(tail[-1], many)


def oracle(kopecks: int) -> str:
    text = f"{kopecks:03}"
    rubles, rest = int(text[:-2]), text[-2:]
    words = oracle_number(rubles)
    return (
        f"{words[0].upper()}{words[1:]} {oracle_form(rubles, 'рубль', 'рубля', 'рублей')} "
        f"{rest} {oracle_form(int(rest), 'копейка', 'копейки', 'копеек')}"
    )


def test_a_hundred_thousand_amounts_agree_with_the_oracle() -> None:
    rng = random.Random(56042)
    amounts = [*range(0, 130_000, 7), *(100 * n for n in range(2_500))]
    amounts += [10**n for n in range(15)] + [10**n - 1 for n in range(1, 15)]
    amounts += [rng.randrange(10 ** rng.randint(1, 14)) for _ in range(100_000 - len(amounts))]
    for kopecks in amounts:
        assert amount_in_words(Decimal(kopecks).scaleb(-2)) == oracle(kopecks)


def test_int_text_and_decimal_are_the_same_amount() -> None:
    rng = random.Random(1)
    for _ in range(2_000):
        rubles = rng.randrange(10 ** rng.randint(1, 12))
        expected = amount_in_words(Decimal(rubles))
        assert amount_in_words(rubles) == amount_in_words(str(rubles)) == expected
        assert amount_in_words(f"{rubles:,}.00".replace(",", " ")) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("10000.25", "Десять тысяч рублей 25 копеек"),
        ("10 000,25", "Десять тысяч рублей 25 копеек"),
        ("10\u00a0000,5", "Десять тысяч рублей 50 копеек"),
        (1_000_000, "Один миллион рублей 00 копеек"),
        (41_000, "Сорок одна тысяча рублей 00 копеек"),
        (1, "Один рубль 00 копеек"),
        (2_002, "Две тысячи два рубля 00 копеек"),
        (111_111, "Сто одиннадцать тысяч сто одиннадцать рублей 00 копеек"),
        (21_000_021, "Двадцать один миллион двадцать один рубль 00 копеек"),
        (0, "Ноль рублей 00 копеек"),
        ("0.01", "Ноль рублей 01 копейка"),
        (Decimal("-0.00"), "Ноль рублей 00 копеек"),
        (Decimal("-1.02"), "Минус один рубль 02 копейки"),
        (Decimal("1E+3"), "Одна тысяча рублей 00 копеек"),
        (Decimal("7.100000"), "Семь рублей 10 копеек"),
        (10**12, "Один триллион рублей 00 копеек"),
        (Decimal("1000000000000.21"), "Один триллион рублей 21 копейка"),
        ("0.11", "Ноль рублей 11 копеек"),
        ("0.22", "Ноль рублей 22 копейки"),
        ("0.05", "Ноль рублей 05 копеек"),
        ("101.01", "Сто один рубль 01 копейка"),
        ("112.12", "Сто двенадцать рублей 12 копеек"),
        (10**33, "Один дециллион рублей 00 копеек"),
        (10**15 + 1, "Один квадриллион один рубль 00 копеек"),
    ],
)
def test_edge_amounts(amount: Decimal | int | str, expected: str) -> None:
    assert amount_in_words(amount) == expected


@pytest.mark.parametrize(
    ("currency", "amount", "expected"),
    [
        ("USD", "1.21", "Один доллар США 21 цент"),
        ("USD", 3, "Три доллара США 00 центов"),
        ("EUR", 22, "Двадцать два евро 00 центов"),
        ("KZT", "101.05", "Сто один тенге 05 тиынов"),
        ("BYN", "2.01", "Два белорусских рубля 01 копейка"),
        ("CNY", "21.03", "Двадцать один китайский юань 03 фэня"),
        ("CNY", 5, "Пять китайских юаней 00 фэней"),
        ("TRY", "1.01", "Одна турецкая лира 01 куруш"),
        ("TRY", 2_002, "Две тысячи две турецкие лиры 00 курушей"),
        ("GBP", "1001", "Одна тысяча один фунт стерлингов 00 пенсов"),
        ("AMD", "0.01", "Ноль армянских драмов 01 лума"),
        ("UZS", 4, "Четыре узбекских сума 00 тийинов"),
        ("AZN", 11, "Одиннадцать азербайджанских манатов 00 гяпиков"),
    ],
)
def test_other_currencies(currency: str, amount: str | int, expected: str) -> None:
    assert amount_in_words(amount, currency) == expected


@pytest.mark.parametrize(
    "amount", ["0.001", Decimal("1.999"), "1,234", "", "десять", "1e3", "١٢", "1_000", "--1", "NaN", "1.2.3"]
)
def test_what_is_no_exact_amount_is_refused(amount: Decimal | str) -> None:
    with pytest.raises(ValueError):
        amount_in_words(amount)


@pytest.mark.parametrize("amount", [1.5, True, None, float("inf")])
def test_what_has_lost_kopecks_already_is_refused(amount: object) -> None:
    with pytest.raises(TypeError):
        amount_in_words(amount)  # type: ignore[arg-type]


def test_not_a_number_infinity_unknown_currency_and_too_much_are_refused() -> None:
    for amount, currency in (
        (Decimal("NaN"), "RUB"),
        (Decimal("Infinity"), "RUB"),
        (1, "XXX"),
        (10**36, "RUB"),
    ):
        with pytest.raises(ValueError):
            amount_in_words(amount, currency)


def test_precision_of_the_decimal_context_does_not_matter() -> None:
    amount = Decimal("12345678901234567890123456789012345.67")  # 37 digits, the context keeps 28
    assert amount_in_words(amount).endswith("тысяч двенадцать рублей 67 копеек") is False
    assert amount_in_words(amount).endswith("триста сорок пять рублей 67 копеек")


def test_feminine_numbers() -> None:
    assert number_in_words(21, feminine=True) == "двадцать одна"
    assert number_in_words(1002, feminine=True) == "одна тысяча две"
