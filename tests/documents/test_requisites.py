"""Check digits: right numbers pass, and each slip of one digit is caught."""

from __future__ import annotations

import random

import pytest

from connector.documents.requisites import (
    RequisiteError,
    check_account,
    check_bik,
    check_corr_account,
    check_inn,
    check_kpp,
    check_ogrn,
)

# Numbers of public bodies and large banks, as they stand in open registers.
INNS = ("7707083893", "7702235133", "7710030411", "7744000302", "500100732259", "9909000010")


def make_inn(rng: random.Random, length: int) -> str:
    """A right ИНН by the rule of the tax service, computed apart from the module."""
    while True:
        body = [rng.randrange(10) for _ in range(length - (1 if length == 10 else 2))]
        if body[:2] == [0, 0]:
            continue
        weights = [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]
        for step in range(1 if length == 10 else 2):
            use = weights[2:] if length == 10 else weights[1 - step :]
            body.append(sum(a * b for a, b in zip(body, use, strict=True)) % 11 % 10)
        return "".join(map(str, body))


@pytest.mark.parametrize("inn", [i for i in INNS if i != "9909000010"])
def test_real_inns_pass(inn: str) -> None:
    check_inn(inn)


def test_generated_inns_pass_and_a_changed_last_digit_does_not() -> None:
    rng = random.Random(10)
    for length in (10, 12):
        for _ in range(500):
            inn = make_inn(rng, length)
            check_inn(inn)
            with pytest.raises(RequisiteError, match="контрольная цифра"):
                check_inn(inn[:-1] + str((int(inn[-1]) + rng.randint(1, 9)) % 10))


@pytest.mark.parametrize(
    ("inn", "reason"),
    [
        ("", "не заполнено"),
        ("770708389", "10 или 12 цифр, а здесь 9"),
        ("0000000000", "00 не бывает"),
        ("000000000000", "00 не бывает"),
        ("7707 083893", "пробелы"),
        ("7707083893\n", "пробелы"),
        ("７７０７０８３８９３", "только цифры"),
        ("77070838ab", "только цифры"),
        ("7707083894", "контрольная"),
    ],
)
def test_a_wrong_inn_is_refused_with_its_reason(inn: str, reason: str) -> None:
    with pytest.raises(RequisiteError, match=reason):
        check_inn(inn)


@pytest.mark.parametrize("kpp", ["773601001", "7736AB001", "997950001"])
def test_right_kpp(kpp: str) -> None:
    check_kpp(kpp)


@pytest.mark.parametrize(
    "kpp", ["", "77360100", "7736010011", "7736аб001", "000000000", "77360100O", " 773601001"]
)
def test_wrong_kpp(kpp: str) -> None:
    with pytest.raises(RequisiteError, match="КПП"):
        check_kpp(kpp)


@pytest.mark.parametrize("ogrn", ["1027700132195", "1037700013020", "304500116000157"])
def test_real_ogrns_pass(ogrn: str) -> None:
    check_ogrn(ogrn)


def test_entrepreneurs_with_every_remainder_pass() -> None:
    """Remainders 10, 11 and 12 give the digits 0, 1 and 2: three numbers in thirteen."""
    remainders = set()
    for body in range(30450011600000, 30450011600013):
        remainders.add(body % 13)
        check_ogrn(f"{body}{body % 13 % 10}")
    assert remainders == set(range(13))


@pytest.mark.parametrize(
    ("ogrn", "reason"),
    [
        ("1027700132196", "контрольная"),
        ("2027700132190", "первой цифрой"),
        ("104500116000157", "первой цифрой"),
        ("10277001321", "13 или 15"),
        ("304500116000158", "контрольная"),
    ],
)
def test_wrong_ogrn(ogrn: str, reason: str) -> None:
    with pytest.raises(RequisiteError, match=reason):
        check_ogrn(ogrn)


@pytest.mark.parametrize("bik", ["044525225", "044525974", "004525988", "012345678", "024501901"])
def test_right_bik(bik: str) -> None:
    check_bik(bik)


@pytest.mark.parametrize("bik", ["", "04452522", "994525225", "044525 25", "040000000", "О44525225"])
def test_wrong_bik(bik: str) -> None:
    with pytest.raises(RequisiteError, match="БИК"):
        check_bik(bik)


@pytest.mark.parametrize(
    ("account", "bik"),
    [
        ("30101810400000000225", "044525225"),
        ("30101810145250000974", "044525974"),
        ("30101810200000000593", "044525593"),
        ("03100643000000017300", "024501901"),  # the treasury's accounts follow no key
        ("40102810545370000003", "004525988"),  # the treasury's single account: the key of the middle
        ("40101810045250010041", "044525000"),  # its account of before 2021, at the Bank of Russia
    ],
)
def test_real_account_pairs_pass(account: str, bik: str) -> None:
    check_account(account, bik)


def keyed(account: str, prefix: str) -> str:
    """`account` with the key digit (the ninth) that belongs to the bank's three digits."""
    for key in "0123456789":
        candidate = account[:8] + key + account[9:]
        weights = "71371371371371371371371"
        if sum(int(a) * int(b) for a, b in zip(prefix + candidate, weights, strict=True)) % 10 == 0:
            return candidate
    raise AssertionError("a key always exists")


def test_generated_accounts_pass_and_each_change_of_one_digit_is_caught() -> None:
    rng = random.Random(20)
    for _ in range(200):
        bik = f"0445{rng.randrange(100):02}{rng.randrange(50, 1000):03}"
        account = keyed("40702810" + "".join(str(rng.randrange(10)) for _ in range(12)), bik[-3:])
        check_account(account, bik)
        place = rng.randrange(5, 20)
        wrong = account[:place] + str((int(account[place]) + 1) % 10) + account[place + 1 :]
        with pytest.raises(RequisiteError, match="опечатка"):
            check_account(wrong, bik)


def test_an_account_at_the_bank_of_russia_takes_its_key_from_the_middle_of_the_bik() -> None:
    account = keyed("40501810000002002901", "0" + "52")
    check_account(account, "044525000"[:4] + "52" + "000")


@pytest.mark.parametrize(
    "account", ["", "4070281090000000000", "0" * 20, "4070281090000000000X", "40702 81090000000000"]
)
def test_malformed_accounts_are_refused(account: str) -> None:
    with pytest.raises(RequisiteError, match="Счёт"):
        check_account(account, "044525225")


def test_a_wrong_bik_is_reported_before_the_account() -> None:
    with pytest.raises(RequisiteError, match="БИК"):
        check_account("40702810900000000001", "12345")


def test_a_correspondent_account_of_another_bank_is_refused() -> None:
    check_corr_account("30101810400000000225", "044525225")
    with pytest.raises(RequisiteError, match=r"другой банк|опечатка"):
        check_corr_account("30101810145250000974", "044525225")
    with pytest.raises(RequisiteError, match="30101"):
        check_corr_account(keyed("40702810000000000001", "225"), "044525225")
