"""Check digits of Russian requisites: ИНН, КПП, ОГРН and ОГРНИП, БИК, account numbers.

Pure. Every check returns None or raises `RequisiteError` with the reason in Russian, ready to be shown to the
person who has to correct the field. Only ASCII digits count: a full-width «１» is a mistake, not a one.
"""

from __future__ import annotations

import re

from connector.errors import ConnectorError

#: The first two digits of a BIK: 04 for banks, the others for the Bank of Russia and the treasury.
BIK_PREFIXES = ("00", "01", "02", "03", "04")
#: A BIK that ends so belongs to a department of the Bank of Russia.
_BANK_OF_RUSSIA = ("000", "001", "002")
#: The sixth character of an account in a clearing currency may be a letter that stands for a digit.
_ACCOUNT_LETTERS = dict(zip("ABCEHKMPTX", "0123456789", strict=True))


class RequisiteError(ConnectorError, ValueError):
    """A requisite that cannot be right; the text says why."""


def check_inn(inn: str) -> None:
    """None for a right ИНН of a company (10 digits) or of a person (12 digits)."""
    _digits("ИНН", inn, (10, 12))
    if inn.startswith("00"):
        raise RequisiteError(f"ИНН {inn}: кода региона 00 не бывает")
    if len(inn) == 10:
        good = inn[9] == _inn_digit(inn, (2, 4, 10, 3, 5, 9, 4, 6, 8))
    else:
        good = inn[10] == _inn_digit(inn, (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) and inn[11] == _inn_digit(
            inn, (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
        )
    if not good:
        raise RequisiteError(f"ИНН {inn}: не сходится контрольная цифра, в номере опечатка")


def check_kpp(kpp: str) -> None:
    """None for a КПП of the right form; it has no check digit. Characters 5 and 6 may be Latin capitals."""
    _text("КПП", kpp)
    if len(kpp) != 9:
        raise RequisiteError(f"КПП {kpp[:30]}: нужно 9 знаков, а здесь {len(kpp)}")
    if not re.fullmatch(r"[0-9]{4}[0-9A-Z]{2}[0-9]{3}", kpp):
        raise RequisiteError(f"КПП {kpp}: нужны цифры (5-й и 6-й знаки могут быть латинскими буквами)")
    if kpp.startswith("00"):
        raise RequisiteError(f"КПП {kpp}: кода региона 00 не бывает")


def check_ogrn(ogrn: str) -> None:
    """None for a right ОГРН of a company (13 digits) or ОГРНИП of an entrepreneur (15 digits)."""
    _digits("ОГРН", ogrn, (13, 15))
    name, first, divisor = ("ОГРН", "15", 11) if len(ogrn) == 13 else ("ОГРНИП", "3", 13)
    if ogrn[0] not in first:
        raise RequisiteError(f"{name} {ogrn}: первой цифрой бывает только {' или '.join(first)}")
    if int(ogrn[:-1]) % divisor % 10 != int(ogrn[-1]):
        raise RequisiteError(f"{name} {ogrn}: не сходится контрольная цифра, в номере опечатка")


def check_bik(bik: str) -> None:
    """None for a БИК of the right form; it has no check digit."""
    _digits("БИК", bik, (9,))
    if bik[:2] not in BIK_PREFIXES:
        raise RequisiteError(f"БИК {bik}: российский БИК начинается с 04 (у казначейства с 00, 01 или 02)")
    if bik[2:] == "0000000":
        raise RequisiteError(f"БИК {bik}: такого банка нет")


def check_account(account: str, bik: str) -> None:
    """None when the account's key agrees with the bank: settlement, correspondent and treasury accounts.

    Treasury accounts (03…) follow no known key and pass. A wrong `bik` is reported first.
    Source: the Bank of Russia's rule for account keys of 08.09.1997 № 515, confirmed on real pairs.
    """
    check_bik(bik)
    _text("Счёт", account)
    if len(account) != 20:
        raise RequisiteError(f"Счёт {account[:30]}: нужно 20 цифр, а здесь {len(account)}")
    if not re.fullmatch(r"[0-9]{5}[0-9ABCEHKMPTX][0-9]{14}", account):
        raise RequisiteError(f"Счёт {account}: нужны только цифры")
    if account == "0" * 20:
        raise RequisiteError(f"Счёт {account}: такого счёта нет")
    if account.startswith("03"):
        return
    at_bank_of_russia = bik.endswith(_BANK_OF_RUSSIA) or account.startswith(("30101", "40102"))
    prefix = "0" + bik[4:6] if at_bank_of_russia else bik[-3:]
    digits = prefix + account[:5] + _ACCOUNT_LETTERS.get(account[5], account[5]) + account[6:]
    if sum(int(digit) * weight for digit, weight in zip(digits, (7, 1, 3) * 8, strict=False)) % 10:
        raise RequisiteError(f"Счёт {account}: не подходит к БИК {bik}, в одном из номеров опечатка")


def check_corr_account(account: str, bik: str) -> None:
    """None for a right correspondent account (30101…, or 40102… of the treasury) of the bank `bik`."""
    check_account(account, bik)
    if not account.startswith(("30101", "40102")):
        raise RequisiteError(f"Корреспондентский счёт {account}: он начинается с 30101")
    if account.startswith("30101") and not account.endswith(bik[-3:]):
        raise RequisiteError(
            f"Корреспондентский счёт {account}: последние три цифры не те, что у БИК {bik}, это другой банк"
        )


def _inn_digit(inn: str, weights: tuple[int, ...]) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(inn, weights, strict=False))
    return str(total % 11 % 10)


def _text(name: str, value: str) -> None:
    if not isinstance(value, str):
        raise RequisiteError(f"{name}: нужна строка цифр, а не {type(value).__name__}")
    if not value:
        raise RequisiteError(f"{name}: не заполнено")
    if re.search(r"\s", value):
        raise RequisiteError(f"{name} «{value[:30]}»: внутри или по краям лишние пробелы")


def _digits(name: str, value: str, lengths: tuple[int, ...]) -> None:
    _text(name, value)
    if not re.fullmatch(r"[0-9]+", value):
        raise RequisiteError(f"{name} «{value[:30]}»: нужны только цифры")
    if len(value) not in lengths:
        wanted = " или ".join(map(str, lengths))
        raise RequisiteError(f"{name} {value[:30]}: нужно {wanted} цифр, а здесь {len(value)}")
