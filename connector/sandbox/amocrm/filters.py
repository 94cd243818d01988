"""`filter[...]` of the entity lists: one table of names an entity, combined with «and».

Pure but for the field book. Source: reference 3. An unknown filter name is ignored (unverified).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from connector.sandbox.amocrm.fields import ENUM_TYPES
from connector.sandbox.amocrm.request import in_range, integers, range_test, strings
from connector.sandbox.amocrm.world import World

T = TypeVar("T")
Predicate = Callable[[Any], bool]
#: Makes a predicate from a filter's value.
Maker = Callable[[Any], Predicate]


def number(get: Callable[[Any], int | None]) -> Maker:
    """One id or several, in either style."""

    def make(wanted: Any) -> Predicate:
        allowed = set(integers(wanted))
        return lambda row: not allowed or get(row) in allowed

    return make


def moment(get: Callable[[Any], int | None], *, scalar_is_since: bool = False) -> Maker:
    """A range `[from]`/`[to]`, or a scalar that is equal to (or, by flag, the start of) the range."""

    def make(wanted: Any) -> Predicate:
        fits = range_test(wanted, scalar_is_since=scalar_is_since)
        return lambda row: fits(get(row))

    return make


def text(get: Callable[[Any], str]) -> Maker:
    def make(wanted: Any) -> Predicate:
        allowed = _leaves(wanted)
        return lambda row: get(row) in allowed

    return make


def word(get: Callable[[Any], str]) -> Maker:
    """One of several code words, in either style."""

    def make(wanted: Any) -> Predicate:
        allowed = set(strings(wanted))
        return lambda row: not allowed or get(row) in allowed

    return make


def flag(get: Callable[[Any], bool]) -> Maker:
    def make(wanted: Any) -> Predicate:
        allowed = {value == "1" for value in strings(wanted)}
        return lambda row: not allowed or get(row) in allowed

    return make


def statuses(wanted: Any) -> Predicate:
    """`[0][pipeline_id]` with `[0][status_id]`; both are needed."""
    pairs = {
        tuple(integers(pair.get("pipeline_id"))[:1] + integers(pair.get("status_id"))[:1])
        for pair in (wanted.values() if isinstance(wanted, dict) else ())
        if isinstance(pair, dict)
    }
    return lambda deal: (deal.pipeline_id, int(deal.stage)) in pairs


def custom_fields(world: World, entity: str) -> Maker:
    """`[{field_id}][]=value`: enum ids for lists, 1/0 for checkboxes, a range for numbers and dates."""

    def make(wanted: Any) -> Predicate:
        tests: list[Predicate] = []
        for key, value in wanted.items() if isinstance(wanted, dict) else ():
            ids = integers(key)
            found = world.fields.get(entity, ids[0]) if ids else None
            tests.append(_field_test(found, value) if found else lambda _: False)
        return lambda row: all(test(row) for test in tests)

    return make


def _field_test(found: Any, wanted: Any) -> Predicate:
    if found.type in ENUM_TYPES and found.type != "multitext":
        ids = set(integers(wanted))
        allowed = {enum.value for enum in found.enums if enum.id in ids}
        return lambda row: any(value in allowed for value in found.get(row))
    if isinstance(wanted, dict) and ({"from", "to"} & wanted.keys()):
        return lambda row: any(in_range(_as_int(value), wanted) for value in found.get(row))
    texts = _leaves(wanted)
    if found.type == "checkbox":
        return lambda row: ("1" if any(found.get(row)) else "0") in texts
    return lambda row: any(str(value) in texts for value in found.get(row))


def _leaves(wanted: Any) -> set[str]:
    """The texts of a filter, commas kept."""
    if isinstance(wanted, dict):
        return {text for child in wanted.values() for text in _leaves(child)}
    return {str(wanted)}


def _as_int(value: Any) -> int | None:
    if hasattr(value, "timestamp"):
        return int(value.timestamp())
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


def apply(rows: Iterable[T], wanted: Mapping[str, Any], makers: Mapping[str, Maker]) -> list[T]:
    """The rows that pass every known filter."""
    tests = [makers[name](value) for name, value in wanted.items() if name in makers]
    return [row for row in rows if all(test(row) for test in tests)]
