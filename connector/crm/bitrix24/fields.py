"""Custom fields of deals, contacts and companies: what their values say, and how a text becomes a value.

Pure. People write «да», «15.03.2026» or the name of a list's item; the portal wants flags, ISO dates and ids.
Source: Bitrix24 REST docs, pages «Пользовательские поля», «crm.item.fields», «Типы данных».
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from connector.crm.bitrix24.directory import FieldInfo
from connector.crm.wild import Wild
from connector.domain import CustomField

#: Our words for the types of user fields; anything else is «other».
KINDS: Final[Mapping[str, str]] = {
    "string": "text",
    "text": "text",
    "integer": "number",
    "double": "number",
    "boolean": "flag",
    "date": "date",
    "datetime": "moment",
    "enumeration": "choice",
    "url": "url",
    "money": "money",
    "file": "file",
    "employee": "person",
    "user": "person",
}

#: Types that are written as the text they are.
_TEXTS: Final = frozenset({"string", "text", "url", "address", "crm_status", "crm"})

_YES: Final = frozenset({"да", "y", "yes", "1", "true", "+"})
_NO: Final = frozenset({"нет", "n", "no", "0", "false", "-"})


class BadValue(ValueError):
    """A text that the field cannot hold; says why, in Russian."""


def describe(entity: str, info: FieldInfo) -> CustomField:
    """The field in our words."""
    kind = KINDS.get(info.type, "other")
    if kind == "choice" and info.is_multiple:
        kind = "choices"
    return CustomField(entity, info.code, info.title, kind, dict(info.choices), info.is_required)


def find(fields: Mapping[str, FieldInfo], name: str) -> FieldInfo | None:
    """The field with that code, else with that name as people see it, whatever its case."""
    wanted = name.strip()
    by_code = fields.get(wanted) or fields.get(wanted.upper())
    if by_code is not None:
        return by_code
    return next((info for info in fields.values() if info.title.casefold() == wanted.casefold()), None)


def custom_fields(item: Wild, fields: Mapping[str, FieldInfo]) -> dict[str, str]:
    """Custom fields by the name people see; of two with one name the first that is filled.

    Several values are joined by «, », dates are ISO 8601, flags «да» and «нет».
    """
    found: dict[str, str] = {}
    for code, info in fields.items():
        value = item.get(code)
        # A map is a file, whose address carries the caller's token.
        if value is None or value.is_map:
            continue
        values = [value] if is_scalar(value) else list(value.each())
        text = ", ".join(filter(None, (_text(info, one) for one in values)))
        if text:
            found.setdefault(info.title, text)
    return found


def encode(info: FieldInfo, text: str, *, zone: ZoneInfo, currency: str) -> object:
    """What to send so that the field says `text`; "" empties it.

    Several values stand on a line each, or are parted by commas. `zone` and `currency` are the portal's, for
    times and sums that name none. Raises BadValue.
    """
    said = text.strip()
    if not info.is_multiple:
        return _encode_one(info, said, zone, currency) if said else ""
    parts = [part.strip() for part in _split(info, said)]
    return [_encode_one(info, part, zone, currency) for part in parts if part]


def is_same(info: FieldInfo, present: Wild | None, wanted: object) -> bool:
    """Whether the field holds `wanted` already, whatever form the portal gives it back in."""
    values = [] if present is None else [present] if is_scalar(present) else list(present.each())
    now = [_plain(info, one.value) for one in values]
    then = [_plain(info, one) for one in (wanted if isinstance(wanted, list) else [wanted])]
    return [one for one in now if one is not None] == [one for one in then if one is not None]


def is_scalar(value: Wild) -> bool:
    """Whether there is one value, neither a list nor a map."""
    return not isinstance(value.value, Mapping | list)


def _text(info: FieldInfo, value: Wild) -> str:
    if info.type == "boolean":
        return "да" if not _is_empty(value) and value.flag() else "нет" if not _is_empty(value) else ""
    if _is_empty(value) or not is_scalar(value):
        return ""
    text = value.text().strip()
    if info.type == "enumeration":
        return info.choices.get(text, "" if text == "0" else text)
    if info.type == "date":
        # A date comes back as midnight shifted by the server's zone: its first ten characters are right.
        return text[:10]
    if info.type in ("money", "address"):
        return text.partition("|")[0]
    return text


def _is_empty(value: Wild) -> bool:
    return value.value is None or value.value == ""


def _split(info: FieldInfo, text: str) -> Iterable[str]:
    if "\n" in text or text in info.choices.values():
        return text.split("\n")
    return text.split(",")


def _encode_one(info: FieldInfo, text: str, zone: ZoneInfo, currency: str) -> object:
    if info.type in _TEXTS:
        return text
    if info.type == "enumeration":
        return _choice(info, text)
    if info.type == "boolean":
        return "Y" if _flag(text) else "N"
    if info.type in ("integer", "double"):
        return _whole(text) if info.type == "integer" else str(_number(text))
    if info.type == "date":
        return _day(text).isoformat()
    if info.type == "datetime":
        return _moment(text, zone).isoformat()
    if info.type == "money":
        amount, _, given = text.partition("|")
        return f"{_number(amount)}|{given.strip() or currency}"
    if info.type in ("employee", "user"):
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise BadValue("нужен номер сотрудника")
        return int(text)
    raise BadValue(f"поля типа {info.type or 'без названия'} Коннектор не заполняет")


def _choice(info: FieldInfo, text: str) -> int | str:
    by_name = {name.casefold(): choice for choice, name in info.choices.items()}
    choice = text if text in info.choices else by_name.get(text.casefold())
    if choice is None:
        raise BadValue(f"нет значения «{text}»; есть: {', '.join(info.choices.values()) or 'ни одного'}")
    return int(choice)


def _flag(text: str) -> bool:
    said = text.casefold()
    if said not in _YES | _NO:
        raise BadValue(f"«{text}» – не «да» и не «нет»")
    return said in _YES


def _number(text: str) -> Decimal:
    try:
        number = Decimal(re.sub(r"[\s ]", "", text).replace(",", "."))
    except InvalidOperation:
        raise BadValue(f"«{text}» – не число") from None
    if not number.is_finite():
        raise BadValue(f"«{text}» – не число")
    return number


def _whole(text: str) -> int:
    number = _number(text)
    if number != number.to_integral_value():
        raise BadValue(f"«{text}» – не целое число")
    return int(number)


def _day(text: str) -> date:
    russian = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text)
    try:
        if russian:
            return date(int(russian[3]), int(russian[2]), int(russian[1]))
        return date.fromisoformat(text[:10])
    except ValueError:
        raise BadValue(f"«{text}» – не дата") from None


def _moment(text: str, zone: ZoneInfo) -> datetime:
    russian = re.fullmatch(r"(\d{1,2}\.\d{1,2}\.\d{4})[ T]+(\d{1,2}):(\d{2})(?::\d{2})?", text)
    try:
        if russian:
            day = _day(russian[1])
            moment = datetime(day.year, day.month, day.day, int(russian[2]), int(russian[3]), tzinfo=zone)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadValue(f"«{text}» – не дата со временем") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _plain(info: FieldInfo, value: object) -> object:
    """A value without the differences between what is sent and what comes back; None when it is empty."""
    text = "" if value is None else str(value).strip()
    if not text or (info.type in ("enumeration", "employee", "user") and text == "0"):
        return None
    try:
        if info.type == "boolean":
            return text.upper() in {"Y", "1", "TRUE"}
        if info.type in ("integer", "double"):
            return Decimal(text)
        if info.type == "date":
            return text[:10]
        if info.type == "datetime":
            return datetime.fromisoformat(text)
        if info.type == "money":
            amount, _, currency = text.partition("|")
            return Decimal(amount), currency
    except (InvalidOperation, ValueError):
        pass
    return text
