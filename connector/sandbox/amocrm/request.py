"""One API request, read: query in PHP brackets, JSON body, `with` list, and checks of a body's items.

Knows no entity and no state; handlers get a `Call` and answer a `Reply`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import Headers

from connector.sandbox.amocrm.php import parse_query
from connector.sandbox.amocrm.wire import (
    MAX_UNIX,
    ApiError,
    Violation,
    invalid,
    missing,
    problem,
    wrong_type,
)

_NUMBER = re.compile(r"[0-9]{1,18}")

#: Entities per write. Source: reference 2.2.
MAX_ITEMS = 250


@dataclass(slots=True)
class Call:
    """One request: `user_id` is who the token belongs to. `base` is the address without query, for links."""

    method: str
    path: str
    query_string: str
    body: bytes
    content_type: str
    headers: Headers
    user_id: int = 0
    whole_floats_are_ints: bool = False
    query: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.query = parse_query(self.query_string)

    @property
    def filter(self) -> dict[str, Any]:
        value = self.query.get("filter")
        return value if isinstance(value, dict) else {}

    @property
    def with_(self) -> set[str]:
        return set(strings(self.query.get("with")))

    def text(self, key: str) -> str:
        value = self.query.get(key, "")
        return value if isinstance(value, str) else ""

    def json(self) -> Any:
        """The body as JSON; a broken one ends the request with 400."""
        try:
            parse_float = _whole if self.whole_floats_are_ints else float
            return json.loads(self.body.decode("utf-8"), parse_constant=_refuse, parse_float=parse_float)
        except (ValueError, RecursionError):
            raise ApiError(problem(400, "Invalid JSON in request body")) from None

    def item(self) -> dict[str, Any]:
        """The body as one object, an array of one counts too."""
        value = self.json()
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, dict):
            raise ApiError(problem(400, "Request body should be an object"))
        return value

    def items(self, maximum: int = MAX_ITEMS) -> Batch:
        """The body as a non-empty array of objects."""
        value = self.json()
        if not isinstance(value, list) or not value or not all(isinstance(i, dict) for i in value):
            raise ApiError(problem(400, "Request body should be a non-empty array of objects"))
        if len(value) > maximum:
            raise ApiError(problem(400, f"Too many items: {len(value)}, at most {maximum}"))
        return Batch(value)


def _whole(text: str) -> int | float:
    """1.0 as 1; any other number as it is."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= MAX_UNIX else number


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


class Batch:
    """Items of a write with what is wrong with each; nothing may be stored before `raise_if_invalid`."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = items
        self._violations: dict[str, list[Violation]] = {}

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for index, item in enumerate(self.items):
            yield request_id(item, index), item

    def refuse(self, name: str, violations: Iterable[Violation]) -> None:
        found = list(violations)
        if found:
            self._violations.setdefault(name, []).extend(found)

    def check(self, rule: Callable[[dict[str, Any]], Iterable[Violation]]) -> Batch:
        """Apply `rule` to every item, then end the request if anything broke it."""
        for name, item in self:
            self.refuse(name, rule(item))
        self.raise_if_invalid()
        return self

    def raise_if_invalid(self) -> None:
        if self._violations:
            raise invalid(self._violations)


def request_id(item: Mapping[str, Any], index: int) -> str:
    """The item's own request_id, else its index, as a string. Source: reference 4.0."""
    given = item.get("request_id")
    return str(given) if isinstance(given, (str, int)) and not isinstance(given, bool) else str(index)


#: A field's check: the name that the error gives, and the test.
Kind = tuple[str, Callable[[Any], bool]]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


INT: Kind = ("int", _is_int)
OPTIONAL_INT: Kind = ("int", lambda v: v is None or _is_int(v))
UNIX: Kind = ("int", lambda v: v is None or (_is_int(v) and 0 <= v <= MAX_UNIX))
STRING: Kind = ("string", lambda v: isinstance(v, str))
OPTIONAL_STRING: Kind = ("string", lambda v: v is None or isinstance(v, str))
BOOL: Kind = ("bool", lambda v: isinstance(v, bool))
OBJECT: Kind = ("array", lambda v: v is None or isinstance(v, (dict, list)))
LIST: Kind = ("array", lambda v: v is None or isinstance(v, list))


def check_types(
    item: Mapping[str, Any], kinds: Mapping[str, Kind], *, required: Iterable[str] = (), prefix: str = ""
) -> list[Violation]:
    """Violations of `kinds` by the keys that are there, and of `required` by those that are not."""
    found = [missing(prefix + key) for key in required if key not in item]
    for key, (name, fits) in kinds.items():
        if key in item and not fits(item[key]):
            found.append(wrong_type(prefix + key, name))
    return found


def check_embedded(item: Mapping[str, Any], *keys: str) -> list[Violation]:
    """Violations of `_embedded` collections that are neither null nor arrays of objects."""
    embedded = item.get("_embedded")
    if not isinstance(embedded, dict):
        return []
    return [
        wrong_type(f"_embedded.{key}", "array")
        for key in keys
        if embedded.get(key) is not None
        and not (isinstance(embedded[key], list) and all(isinstance(row, dict) for row in embedded[key]))
    ]


def strings(value: Any) -> list[str]:
    """A filter's values, whatever the style: `a,b`, `[]=a`, `[0]=a`; blanks left out."""
    if isinstance(value, dict):
        return [text for child in value.values() for text in strings(child)]
    if not isinstance(value, str):
        return []
    return [part.strip() for part in value.split(",") if part.strip()]


def integers(value: Any) -> list[int]:
    """The same as whole numbers; what is none of them can match nothing and becomes -1."""
    return [int(text) if _NUMBER.fullmatch(text) else -1 for text in strings(value)]


def in_range(value: int | None, wanted: Any, *, scalar_is_since: bool = False) -> bool:
    """Whether `value` lies in `{"from", "to"}` (both ends count) or equals a scalar (or one of a list)."""
    return range_test(wanted, scalar_is_since=scalar_is_since)(value)


def range_test(wanted: Any, *, scalar_is_since: bool = False) -> Callable[[int | None], bool]:
    """`in_range` for many values: what is wanted is read once."""
    if isinstance(wanted, dict) and ({"from", "to"} & set(wanted)):
        low, high = integers(wanted.get("from", "")), integers(wanted.get("to", ""))
        return lambda value: (
            value is not None and not (low and value < low[0]) and not (high and value > high[0])
        )
    numbers = integers(wanted)
    if scalar_is_since:
        return lambda value: value is not None and (not numbers or value >= numbers[0])
    return lambda value: not numbers or value in numbers
