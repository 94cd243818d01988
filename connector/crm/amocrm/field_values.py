"""Values of custom fields, both ways: what amoCRM keeps <-> the text that people see. Pure.

Must not know which entity has the field. What `decode` gave is taken back by `encode` as the same value;
what has no text of its own (an address in parts, requisites, invoice lines, files) is written as JSON in
amoCRM's own keys, or as plain text where one part can stand for the whole.
Source: amoCRM developers' docs, page «Поля и группы полей», and the official SDK's models of values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from connector.crm.wild import Malformed, Wild

TEXTS = frozenset({"text", "textarea", "streetaddress", "tracking_data", "url"})
NUMBERS = frozenset({"numeric", "price", "monetary"})
DAYS = frozenset({"date", "birthday"})
CHOICES = frozenset({"select", "radiobutton", "category"})
#: Values that are objects; the part that a plain text stands for, None where only JSON says enough.
OBJECTS: Mapping[str, str | None] = {
    "legal_entity": "name",
    "payer": "name",
    "supplier": "entity_id",
    "linked_entity": None,
    "items": None,
    "file": None,
}
#: Parts of a «умный адрес» by their `enum_id`.
ADDRESS_PARTS = ("address_line_1", "address_line_2", "city", "state", "zip", "country")

#: «1e999999» is a number too, a megabyte long.
MOST_DIGITS = 20

_YES = {"да", "yes", "true", "1", "y"}
_NO = {"нет", "no", "false", "0", "n"}

Value = dict[str, Any]


class Unwritable(ValueError):
    """A text that does not fit the field; says why."""


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A custom field as the account has set it up. `options`: enum id to what people see."""

    id: str
    name: str
    code: str
    type: str
    options: Mapping[str, str] = field(default_factory=dict)
    is_required: bool = False
    is_computed: bool = False
    is_predefined: bool = False


def decode(field_type: str, value: Wild, zone: ZoneInfo) -> str:
    """One value as people see it: dates are ISO 8601 in the account's zone, flags «да» and «нет»."""
    inner = value.get("value")
    if inner is None:
        return _chain_link(value) if field_type == "chained_list" else ""
    if inner.is_map:
        return inner.text_at("name", "file_name", "description", "entity_id")
    if field_type == "checkbox":
        return "да" if inner.flag() else "нет"
    if field_type in DAYS or field_type == "date_time":
        if not re.fullmatch(r"-?\d+", inner.text()):
            return inner.text().strip()
        try:
            local = datetime.fromtimestamp(inner.int(), zone)
        except (ValueError, OverflowError, OSError):
            # A year that no calendar has, as imports leave it: shown as it is kept.
            return inner.text()
        return local.isoformat() if field_type == "date_time" else local.date().isoformat()
    return inner.text().strip()


def encode(definition: FieldDefinition, text: str, zone: ZoneInfo) -> list[Value] | None:
    """The values to write for `text`; None clears the field. Raises `Unwritable`."""
    text = text.strip()
    if not text:
        return None
    kind = definition.type
    if kind in TEXTS:
        return [{"value": text}]
    if kind in NUMBERS:
        return [{"value": _number(text)}]
    if kind == "checkbox":
        return [{"value": _flag(text)}]
    if kind in DAYS:
        # A day is kept as a midnight, and whose midnight is not sure: noon is that day in both readings.
        return [{"value": _unix(datetime.combine(_day(text), time(12), zone))}]
    if kind == "date_time":
        return [{"value": _unix(_moment(text, zone))}]
    if kind in CHOICES:
        return [{"enum_id": int(_option(definition, text))}]
    if kind == "multiselect":
        return [{"enum_id": int(one)} for one in dict.fromkeys(_options(definition, text))]
    if kind == "multitext":
        return [{"value": one, "enum_code": "WORK"} for one in _split(text)]
    if kind == "smart_address":
        return _address(text)
    if kind == "chained_list":
        return [_chain(one) for one in _split(text)]
    if kind in OBJECTS:
        return _objects(kind, text)
    raise Unwritable(f"a field of type «{kind}» cannot be written")


def same(
    definition: FieldDefinition, current: Sequence[Wild], wanted: list[Value] | None, zone: ZoneInfo
) -> bool:
    """Whether the field holds these values already."""
    if wanted is None or not current:
        return not wanted and not current
    if len(current) != len(wanted):
        return False
    written = [Wild(value, "wanted") for value in wanted]
    try:
        if definition.type in OBJECTS:
            pairs = zip(current, written, strict=True)
            return all(_holds(one["value"], other["value"]) for one, other in pairs)
        keys = [[_key(definition.type, value, zone) for value in values] for values in (current, written)]
    except Malformed:
        return False
    return sorted(keys[0]) == sorted(keys[1])


def _key(kind: str, value: Wild, zone: ZoneInfo) -> tuple[str, ...]:
    """What two equal values of that type have in common, whichever way they are spelled."""
    if kind in CHOICES or kind == "multiselect":
        return (value["enum_id"].id(),)
    if kind in NUMBERS:
        return (str(value["value"].decimal().normalize()),)
    if kind == "smart_address":
        return (_part_id(value), value["value"].text().strip())
    if kind == "date_time":
        return (str(value["value"].int()),)
    return (decode(kind, value, zone),)


def _holds(current: Wild, wanted: Wild) -> bool:
    """Whether every part that is to be written is there already; amoCRM adds parts of its own."""
    if not wanted.is_map:
        return _plain(current.value) == _plain(wanted.value)
    parts = [(current.get(name), wanted.get(name)) for name in wanted.names()]
    return all(
        have is None if want is None else have is not None and _holds(have, want) for have, want in parts
    )


def _plain(value: object) -> object:
    """Numbers and their texts are one thing to amoCRM."""
    try:
        return Decimal(str(value)).normalize()
    except InvalidOperation:
        return value


def _number(text: str) -> str:
    compact = re.sub(r"[\s\u00a0\u202f]", "", text).replace(",", ".")
    try:
        number = Decimal(compact)
    except InvalidOperation:
        raise Unwritable(f"«{text}» is not a number") from None
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        raise Unwritable(f"«{text}» is not a number that a field can hold")
    return format(number, "f")


def _flag(text: str) -> bool:
    said = text.casefold()
    if said not in _YES | _NO:
        raise Unwritable(f"«{text}» is neither «да» nor «нет»")
    return said in _YES


def _day(text: str) -> date:
    russian = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text)
    try:
        if russian:
            return date(int(russian[3]), int(russian[2]), int(russian[1]))
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text).date()
    except ValueError:
        raise Unwritable(f"«{text}» is not a date (2026-12-31 or 31.12.2026)") from None


def _moment(text: str, zone: ZoneInfo) -> datetime:
    day, _, hours = text.partition(" ") if re.match(r"\d{1,2}\.", text) else (text, "", "")
    try:
        if re.match(r"\d{1,2}\.", text):
            moment = datetime.combine(_day(day), time.fromisoformat(hours.strip() or "00:00"))
        else:
            moment = datetime.fromisoformat(text)
    except ValueError as error:
        if isinstance(error, Unwritable):
            raise
        raise Unwritable(f"«{text}» is not a time (2026-12-31T18:00 or 31.12.2026 18:00)") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())


def _option(definition: FieldDefinition, text: str) -> str:
    """The enum id of an option by what people see, or by its id."""
    found = _known_option(definition, text)
    if found is None:
        known = ", ".join(f"«{name}»" for name in list(definition.options.values())[:10])
        raise Unwritable(f"«{text}» is not among {known or 'its options: it has none'}")
    return found


def _known_option(definition: FieldDefinition, text: str) -> str | None:
    wanted = " ".join(text.split()).casefold()
    for enum_id, name in definition.options.items():
        if " ".join(name.split()).casefold() == wanted:
            return enum_id
    return text if text in definition.options else None


def _options(definition: FieldDefinition, text: str) -> list[str]:
    """Enum ids of several options joined by «, », by «; » or by lines; a name may hold a comma itself."""
    whole = _known_option(definition, text)
    if whole is not None:
        return [whole]
    if re.search(r"[;\n]", text):
        return [_option(definition, one) for one in _split(text, r"[;\n]")]
    words, found = text.split(","), []
    while words:
        # The longest run of words that is an option's name, so that «Да, но позже» is not cut in two.
        for size in range(len(words), 0, -1):
            known = _known_option(definition, ",".join(words[:size]).strip())
            if known is not None or size == 1:
                found.append(known or _option(definition, words[0].strip()))
                words = words[size:]
                break
    return found


def _split(text: str, by: str = r"[,;\n]") -> list[str]:
    return [part for one in re.split(by, text) if (part := one.strip())]


def _json(text: str) -> object:
    """What a JSON text holds; None for plain text."""
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unwritable("it looks like JSON and is none") from None


def _address(text: str) -> list[Value]:
    """`{"city": "Москва", …}`, or a text, which is the first line."""
    told = _json(text)
    if told is None:
        return [{"value": text, "enum_id": 1}]
    if not isinstance(told, dict) or not told or set(told) - set(ADDRESS_PARTS):
        raise Unwritable(f"an address has the parts {', '.join(ADDRESS_PARTS)}")
    return [
        {"value": str(told[part]), "enum_id": number}
        for number, part in enumerate(ADDRESS_PARTS, 1)
        if told.get(part)
    ]


def _part_id(value: Wild) -> str:
    number = value.id_at("enum_id")
    if number is not None:
        return number
    code = value.text_at("enum_code")
    return str(ADDRESS_PARTS.index(code) + 1) if code in ADDRESS_PARTS else code


def _chain_link(value: Wild) -> str:
    catalog, element = value.id_at("catalog_id"), value.id_at("catalog_element_id")
    return f"{catalog}:{element}" if catalog and element else ""


def _chain(text: str) -> Value:
    """«list:element», both by id: a chained list's value carries no name."""
    match = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text)
    if match is None:
        raise Unwritable(f"«{text}» is not «list id:element id»")
    return {"catalog_id": int(match[1]), "catalog_element_id": int(match[2])}


def _objects(kind: str, text: str) -> list[Value]:
    """One object or a list of them as JSON; a plain text is the part that `OBJECTS` names."""
    told = _json(text)
    part = OBJECTS[kind]
    if told is None:
        if part is None:
            raise Unwritable(f"a field of type «{kind}» is written as JSON with amoCRM's own keys")
        told = {part: int(text) if part == "entity_id" and text.isdecimal() else text}
    items = told if isinstance(told, list) else [told]
    if not items or not all(isinstance(item, dict) and item for item in items):
        raise Unwritable("an object or a list of objects is wanted")
    return [{"value": item} for item in items]


#: amoCRM's types in our words; whatever is not here is «other».
KINDS: Mapping[str, str] = {
    **dict.fromkeys(("text", "textarea", "streetaddress", "tracking_data"), "text"),
    **dict.fromkeys(("numeric",), "number"),
    **dict.fromkeys(("price", "monetary"), "money"),
    **dict.fromkeys(DAYS, "date"),
    **dict.fromkeys(CHOICES, "choice"),
    "checkbox": "flag",
    "date_time": "moment",
    "multiselect": "choices",
    "url": "url",
    "file": "file",
}
