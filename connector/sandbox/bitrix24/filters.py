"""The filter and order language of the list methods.

A filter is compiled against a catalogue of columns into one predicate over whatever rows the method has.
Source: reference section 2.4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.wire import (
    invalid_argument,
    parse_day,
    parse_decimal,
    parse_int,
    parse_moment,
)

Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Column:
    """One thing to filter or sort by. type: integer | double | datetime | date | string.

    `read` may return a list: then one matching member is enough.
    """

    type: str
    read: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """What may be named in a filter. `strict` methods refuse other names, the rest ignores them."""

    find: Callable[[str], Column | None]
    strict: bool
    zone: tzinfo


#: Longest first: «!=%» must not be read as «!=» with a field called «%…».
OPERATORS = ("!=%", "!%=", "!%", "!@", "!=", "=%", "%=", ">=", "<=", "!", "=", "%", "@", ">", "<")


def split_operator(key: str) -> tuple[str, str]:
    """The operator prefix and the field name."""
    for operator in OPERATORS:
        if key.startswith(operator):
            return operator, key[len(operator) :]
    return "", key


def compile_filter(filter_: Any, columns: Columns) -> Predicate:
    """One predicate for the whole filter; the top level is AND, groups carry their own `logic`."""
    parts: list[Predicate] = []
    wanted = as_map(filter_)
    any_of = str(wanted.pop("logic", wanted.pop("LOGIC", "AND"))).upper() == "OR"
    for key, value in wanted.items():
        if key.isdigit():
            parts.append(compile_filter(value, columns))
            continue
        operator, name = split_operator(key)
        column = columns.find(name)
        if column is None:
            if columns.strict:
                raise invalid_argument(f"Invalid filter: field '{name}' is not allowed in filter")
            continue
        parts.append(_condition(operator, column, value, columns.zone))
    if not parts:
        return always
    if any_of:
        return lambda row: any(part(row) for part in parts)
    return lambda row: all(part(row) for part in parts)


def always(row: Any) -> bool:
    """The filter that asks for nothing."""
    return True


def sort_rows(rows: Sequence[Any], order: Any, columns: Columns) -> list[Any]:
    """Rows in the wanted order; empty values first when ascending. No order: as they came."""
    result = list(rows)
    for name, direction in reversed(list(as_map(order).items())):
        column = columns.find(name)
        if column is None:
            if columns.strict:
                raise invalid_argument(f"Invalid order: field '{name}' is not allowed in order")
            continue
        result.sort(
            key=lambda row, read=column.read: _sort_key(read(row)),  # type: ignore[misc]
            reverse=str(direction).upper().startswith("DESC"),
        )
    return result


def _sort_key(value: Any) -> tuple[int, Any]:
    if value is None or value == "":
        return (0, 0)
    if isinstance(value, list):
        return (1, len(value))
    return (1, value.casefold() if isinstance(value, str) else value)


def _condition(operator: str, column: Column, value: Any, zone: tzinfo) -> Predicate:
    negative = operator.startswith("!")
    core = operator.lstrip("!")
    if core in {"%", "=%", "%="}:
        test = _like(value, contains=core == "%")
    elif core in {">", ">=", "<", "<="}:
        test = _compare(core, coerce(column.type, value, zone))
    elif core == "@" or isinstance(value, list | tuple | Mapping):
        test = _among([coerce(column.type, item, zone) for item in as_list(value)])
    else:
        test = _equal(coerce(column.type, value, zone))
    read = column.read

    def matches(row: Any) -> bool:
        found = read(row)
        members = found if isinstance(found, list) else [found]
        hit = any(test(member) for member in members or [None])
        return hit is not negative

    return matches


def coerce(type_: str, value: Any, zone: tzinfo) -> Any:
    """The filter's value in the column's type; None for «empty»."""
    if value is None or value == "":
        return None
    if type_ == "integer":
        return parse_int(value)
    if type_ == "double":
        return parse_decimal(value)
    if type_ == "datetime":
        return parse_moment(value, zone)
    if type_ == "date":
        return parse_day(value)
    if isinstance(value, bool):
        return "Y" if value else "N"
    return str(value)


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, int | Decimal) and value == 0)


def _equal(wanted: Any) -> Predicate:
    if wanted is None:
        return _is_empty
    return lambda value: bool(_typed(value, wanted) == wanted)


def _among(wanted: list[Any]) -> Predicate:
    tests = [_equal(item) for item in wanted]
    return lambda value: any(test(value) for test in tests)


def _compare(operator: str, wanted: Any) -> Predicate:
    def holds(value: Any) -> bool:
        found = _typed(value, wanted)
        if found is None or wanted is None or type(found) is not type(wanted):
            return False
        if operator == ">":
            return bool(found > wanted)
        if operator == ">=":
            return bool(found >= wanted)
        return bool(found < wanted if operator == "<" else found <= wanted)

    return holds


def _typed(value: Any, like: Any) -> Any:
    """The row's value made comparable with the filter's."""
    if isinstance(like, Decimal) and isinstance(value, int):
        return Decimal(value)
    if isinstance(like, str) and value is not None:
        return str(value)
    if isinstance(like, date) and not isinstance(like, datetime) and isinstance(value, datetime):
        return value.date()
    return value


def _like(pattern: Any, *, contains: bool) -> Predicate:
    text = str(pattern if pattern is not None else "").casefold()
    if contains:
        return lambda value: value is not None and text in str(value).casefold()
    parts = (".*" if char == "%" else "." if char == "_" else re.escape(char) for char in text)
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda value: value is not None and compiled.fullmatch(str(value).casefold()) is not None
