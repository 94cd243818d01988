"""How Bitrix24 writes things down: errors, numbers, dates and the oddities of PHP arrays.

Knows nothing of methods, callers or the portal. Source: reference sections 2.1, 2.2 and 2.6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final
from xml.sax.saxutils import escape

_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class EmptyObject:
    """A PHP date object that leaks out as `{}`; every other empty map becomes `[]`."""


EMPTY_OBJECT: Final = EmptyObject()


class RestError(Exception):
    """An answer `{"error", "error_description"}` with its HTTP status."""

    def __init__(self, status: int, code: str | int, description: str) -> None:
        self.status = status
        self.code = code
        self.description = description
        super().__init__(f"{status} {code}: {description}")

    def body(self) -> dict[str, Any]:
        return {"error": self.code, "error_description": self.description}


def classic_error(description: str) -> RestError:
    """The classic CRM methods leave the code empty: the text is all there is."""
    return RestError(400, "", description)


def not_found() -> RestError:
    return classic_error("Not found")


def item_not_found() -> RestError:
    return RestError(400, "NOT_FOUND", "Item not found")


def missing_parameter(name: str) -> RestError:
    return RestError(400, "100", f"Could not find value for parameter {{{name}}}")


def invalid_argument(description: str) -> RestError:
    return RestError(400, "INVALID_ARG_VALUE", description)


def php(value: Any) -> Any:
    """The value as `json_encode` of PHP would see it.

    An empty map turns into a list; so does a map with the keys 0..n-1 in that order.
    """
    if isinstance(value, EmptyObject):
        return {}
    if isinstance(value, Mapping):
        if all(str(key) == str(place) for place, key in enumerate(value)):
            return [php(item) for item in value.values()]
        return {str(key): php(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [php(item) for item in value]
    if isinstance(value, Decimal):
        return number(value)
    return value


def dump(value: Any) -> str:
    """JSON text of an answer."""
    return json.dumps(php(value), separators=(",", ":"))


def dump_xml(value: Any) -> str:
    """The same answer for a name that ends in `.xml`: members of lists are `<item>`s.

    The tags are recalled, not documented. Keys that make no name for a tag are items too.
    """
    return f'<?xml version="1.0" encoding="UTF-8"?><response>{_xml_of(php(value))}</response>'


def _xml_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(_tag(str(key), item) for key, item in value.items())
    if isinstance(value, list):
        return "".join(_tag("item", item) for item in value)
    if isinstance(value, bool):
        return "1" if value else ""
    return "" if value is None else escape(str(value))


def _tag(name: str, value: Any) -> str:
    tag = name if _XML_NAME.fullmatch(name) else "item"
    return f"<{tag}>{_xml_of(value)}</{tag}>"


def number(value: Decimal) -> int | float:
    """A JSON number; PHP writes 10000.0 as 10000."""
    return int(value) if value == value.to_integral_value() else float(value)


def moment(value: datetime, zone: tzinfo) -> str:
    """ISO 8601 in the server's time, with offset and without fractions."""
    return value.astimezone(zone).replace(microsecond=0).isoformat()


def day(value: date, zone: tzinfo) -> str:
    """A date-only field: midnight UTC written in the server's time, hence the odd «T03:00:00+03:00»."""
    return moment(datetime(value.year, value.month, value.day, tzinfo=UTC), zone)


def parse_moment(value: Any, zone: tzinfo) -> datetime | None:
    """Aware UTC of what a client sent; without an offset the portal's time counts. None: not a time."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        parsed = datetime.fromisoformat(str(value).strip())
    except ValueError:
        try:
            parsed = datetime.strptime(str(value).strip()[:19], "%d.%m.%Y %H:%M:%S")  # noqa: DTZ007
        except ValueError:
            return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).astimezone(UTC)


def parse_day(value: Any) -> date | None:
    """The date in the first ten characters, ISO or Russian; None: not a date."""
    text = str(value).strip()[:10]
    for pattern in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, pattern).date()  # noqa: DTZ007
        except ValueError:
            continue
    return None


def parse_int(value: Any) -> int | None:
    try:
        return int(str(value).strip())
    except ValueError:
        return None


#: A number with so many digits is none: `decimal(18,4)` is what the portal keeps.
MAX_NUMBER = Decimal(10) ** 14


def parse_decimal(value: Any) -> Decimal | None:
    """A finite number that a database would hold; of a money text «100.50|RUB» the part before the bar."""
    try:
        parsed = Decimal(str(value).split("|")[0].strip().replace(" ", ""))
    except ArithmeticError:
        return None
    return parsed if parsed.is_finite() and abs(parsed) < MAX_NUMBER else None


def is_yes(value: Any) -> bool:
    """Y, 1 and true in all the ways clients write them."""
    return value is True or str(value).strip().lower() in {"y", "1", "true"}
