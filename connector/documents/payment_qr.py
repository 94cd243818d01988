"""The QR code of a Russian payment order, ГОСТ Р 56042-2014: its bytes, their reading back, its picture.

The standard has no escaping: the eighth byte says which character parts the fields, so it must occur in no
value. That choice is all that keeps a client's name from adding a second `PersonalAcc`.
"""

from __future__ import annotations

import io
import re
from decimal import Decimal

import segno

from connector.documents.words import in_hundredths
from connector.errors import ConnectorError

#: The five fields that must come first, in this order.
REQUIRED = ("Name", "PersonalAcc", "BankName", "BIC", "CorrespAcc")
#: Longest values, in characters, as the standard gives them (table 3 and annex A).
MAX_LENGTH = dict(
    zip(REQUIRED, (160, 20, 45, 9, 20), strict=True),
    Sum=18,
    Purpose=210,
    PayeeINN=12,
    PayerINN=12,
    DrawerStatus=2,
    KPP=9,
    CBC=20,
    OKTMO=11,
    PaytReason=2,
    TaxPeriod=10,
    DocNo=15,
    DocDate=10,
    TaxPaytKind=2,
)
#: Further names of the standard; it sets no length for them.
OTHER = (
    *("LastName", "FirstName", "MiddleName", "PayerAddress", "PersonalAccount", "DocIdx", "PensAcc"),
    *("Contract", "PersAcc", "Flat", "Phone", "PayerIdType", "PayerIdNum", "ChildFio", "BirthDate"),
    *("PaymTerm", "PaymPeriod", "Category", "ServiceName", "CounterId", "CounterVal", "QuittId"),
    *("QuittDate", "InstNum", "ClassNum", "SpecFio", "AddAmount", "RuleId", "ExecId", "RegType", "UIN"),
    "TechCode",
)
_OTHER_MAX = 210
_NAMES = {name.casefold(): name for name in (*MAX_LENGTH, *OTHER)}
_SEPARATORS = "|~#^;*@!$%&_`\\/?+"
_ENCODINGS = {"1": "cp1251", "2": "utf-8", "3": "koi8-r"}
#: What a QR code of the largest version holds at correction level M.
_CAPACITY = 2331


class PaymentQrError(ConnectorError, ValueError):
    """The data cannot be put into the code, or the bytes are not of this standard; Russian."""


def payload(
    *,
    name: str,
    account: str,
    bank: str,
    bik: str,
    corr_account: str,
    amount: Decimal | int | str | None = None,
    purpose: str | None = None,
    payee_inn: str | None = None,
    payee_kpp: str | None = None,
    **more: str | None,
) -> bytes:
    """The bytes of the code, UTF-8, required fields first.

    amount: rubles, written as whole kopecks. more: other fields by the standard's name (`DocNo`) or in
    snake case (`doc_no`). A field that is None or empty is left out. Keys of accounts are not checked here:
    see `requisites.check_account`.
    Errors: PaymentQrError for a missing, too long or malformed value and for an unknown field.
    """
    fields = {"Name": name, "PersonalAcc": account, "BankName": bank, "BIC": bik, "CorrespAcc": corr_account}
    for key, value in fields.items():
        if not isinstance(value, str) or not value.strip():
            raise PaymentQrError(f"{key}: обязательное поле не заполнено")
    optional: dict[str, str | None] = {
        "Sum": None if amount is None else _kopecks(amount),
        "Purpose": purpose,
        "PayeeINN": payee_inn,
        "KPP": payee_kpp,
    }
    for given, extra in more.items():
        key = _NAMES.get(given.replace("_", "").casefold(), "")
        if not key:
            raise PaymentQrError(f"{given}: такого поля в ГОСТ Р 56042 нет")
        if key in fields or optional.get(key):
            raise PaymentQrError(f"{key}: поле задано дважды")
        optional[key] = extra
    fields.update({key: value for key, value in optional.items() if value})
    fields = {key: _value(key, value) for key, value in fields.items()}
    for key, pattern in (("PersonalAcc", "[0-9A-Z]{20}"), ("BIC", "[0-9]{9}"), ("CorrespAcc", "[0-9]{20}|0")):
        if not re.fullmatch(pattern, fields[key]):
            raise PaymentQrError(f"{key}: неверный вид номера «{fields[key]}»")
    used = set("".join(fields.values()))
    separator = next((char for char in _SEPARATORS if char not in used), None)
    if separator is None:
        raise PaymentQrError("в значениях заняты все знаки, которыми можно разделить поля")
    text = separator.join(["ST00012", *(f"{key}={value}" for key, value in fields.items())])
    data = text.encode("utf-8")
    if len(data) > _CAPACITY:
        raise PaymentQrError(f"данные не помещаются в QR-код: {len(data)} байт из {_CAPACITY}")
    return data


def parse(data: bytes) -> dict[str, str]:
    """The fields of a code in their order; `Sum` stays in kopecks, as it was written.

    Errors: PaymentQrError for a foreign header, bytes that are not text of the named encoding, a part without
    «=», a field that comes twice, and for required fields that are missing or not in front.
    """
    header = re.match(rb"ST0001([123])(.)", data, re.DOTALL)
    if header is None:
        raise PaymentQrError("это не платёжный QR-код: нет заголовка ST0001")
    try:
        text = data[header.end() :].decode(_ENCODINGS[header[1].decode()])
        separator = header[2].decode("ascii")
    except UnicodeDecodeError:
        raise PaymentQrError("байты не соответствуют кодировке, которая названа в заголовке") from None
    fields: dict[str, str] = {}
    seen: set[str] = set()
    for part in text.removesuffix(separator).split(separator):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise PaymentQrError(f"часть «{part[:40]}» не имеет вида «поле=значение»")
        if key.casefold() in seen:
            raise PaymentQrError(f"{key}: поле встретилось дважды")
        seen.add(key.casefold())
        fields[key] = value
    if tuple(fields)[: len(REQUIRED)] != REQUIRED or not all(fields[key] for key in REQUIRED):
        raise PaymentQrError(f"в начале должны стоять поля {', '.join(REQUIRED)}")
    return fields


def png(data: bytes, *, scale: int = 8) -> bytes:
    """The code as a black and white PNG with its quiet zone; to be drawn at least 35 mm wide.

    The level of correction is stated (M, no boost): scanners of banks were made for it.
    """
    code = segno.make(data, mode="byte", error="m", micro=False, boost_error=False)
    out = io.BytesIO()
    code.save(out, kind="png", scale=scale, border=4)
    return out.getvalue()


def svg(data: bytes) -> bytes:
    """The code as SVG, for a page in a browser."""
    code = segno.make(data, mode="byte", error="m", micro=False, boost_error=False)
    out = io.BytesIO()
    code.save(out, kind="svg", border=4, xmldecl=False, omitsize=True)
    return out.getvalue()


def _kopecks(amount: Decimal | int | str) -> str:
    try:
        kopecks = in_hundredths(amount)
    except (TypeError, ValueError) as error:
        raise PaymentQrError(f"Sum: {error}") from None
    if kopecks <= 0:
        raise PaymentQrError("Sum: сумма платежа должна быть больше нуля")
    return str(kopecks)


def _value(key: str, value: str) -> str:
    if not isinstance(value, str):
        raise PaymentQrError(f"{key}: нужна строка, а не {type(value).__name__}")
    value = value.strip()
    if re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", value):
        raise PaymentQrError(f"{key}: в значении есть управляющие символы")
    longest = MAX_LENGTH.get(key, _OTHER_MAX)
    if len(value) > longest:
        raise PaymentQrError(f"{key}: не больше {longest} знаков, а здесь {len(value)}")
    return value
