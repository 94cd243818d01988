"""Check digits of Russian legal identifiers: ИНН, ОГРН, ОГРНИП and bank accounts.

The numbers made here are well-formed and belong to nobody: the region and the bank do not exist.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

#: No region of Russia has the code 99, so neither a tax office nor a bank of it exists.
NO_REGION = "99"
BIK = f"04{NO_REGION}99701"
BANK_NAME = "АО «Учебный Банк»"

_INN_10 = (2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_11 = (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_12 = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)


def company_inn(number: int) -> str:
    """ИНН of a company (10 digits) with its check digit; `number` up to 99999 makes it unique."""
    digits = f"{NO_REGION}01{number % 100_000:05d}"
    return digits + _inn_digit(digits, _INN_10)


def person_inn(number: int) -> str:
    """ИНН of a sole trader (12 digits) with both check digits; `number` up to 999999."""
    digits = f"{NO_REGION}01{number % 1_000_000:06d}"
    digits += _inn_digit(digits, _INN_11)
    return digits + _inn_digit(digits, _INN_12)


def kpp() -> str:
    """КПП that goes with `company_inn`."""
    return f"{NO_REGION}0101001"


def ogrn(number: int, year: int) -> str:
    """ОГРН (13 digits) of a company registered in `year`."""
    digits = f"1{year % 100:02d}{NO_REGION}{number % 10_000_000:07d}"
    return digits + str(int(digits) % 11 % 10)


def ogrnip(number: int, year: int) -> str:
    """ОГРНИП (15 digits) of a sole trader registered in `year`."""
    digits = f"3{year % 100:02d}{NO_REGION}{number % 1_000_000_000:09d}"
    return digits + str(int(digits) % 13 % 10)


def account(number: int, *, prefix: str = "40702810", bik: str = BIK) -> str:
    """A settlement account (20 digits) whose key fits the bank."""
    return _with_key(f"{prefix}0{number % 100_000_000_000:011d}", bik[-3:])


@functools.cache
def corr_account(bik: str = BIK) -> str:
    """The bank's correspondent account (20 digits): its key is counted with the bank's settlement code."""
    return _with_key(f"301018100000000000{bik[-3:]}"[:17] + bik[-3:], f"0{bik[4:6]}")


def _inn_digit(digits: str, weights: Sequence[int]) -> str:
    return str(sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 11 % 10)


def _with_key(number: str, bank: str) -> str:
    """`number` with its ninth digit replaced so that the weighted sum with the bank's part ends in 0."""
    digits = [int(digit) for digit in f"{bank}{number[:8]}0{number[9:]}"]
    total = 7 * sum(digits[::3]) + sum(digits[1::3]) + 3 * sum(digits[2::3])
    # The ninth digit of the account is the twelfth of the sum, so its weight is 3, and 3 * 7 = 21.
    return f"{number[:8]}{-total * 7 % 10}{number[9:]}"
