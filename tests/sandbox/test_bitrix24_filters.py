"""The filter language: each operator on each kind of column, groups, unknown names, order."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.sandbox.bitrix24.filters import Column, Columns, compile_filter, sort_rows, split_operator
from connector.sandbox.bitrix24.wire import RestError

COLUMNS = {
    "id": Column("integer", lambda row: row.id),
    "title": Column("string", lambda row: row.title),
    "sum": Column("double", lambda row: row.sum),
    "at": Column("datetime", lambda row: row.at),
    "on": Column("date", lambda row: row.on),
    "tags": Column("integer", lambda row: row.tags),
}


def row(number: int, title: str | None, sum_: str | None, day: int, tags: list[int]) -> Any:
    return SimpleNamespace(
        id=number,
        title=title,
        sum=None if sum_ is None else Decimal(sum_),
        at=datetime(2026, 1, day, 9, tzinfo=UTC),
        on=date(2026, 1, day),
        tags=tags,
    )


ROWS = [row(1, "Альфа", "100.50", 1, [7]), row(2, "бета", "200", 2, [7, 8]), row(3, None, None, 3, [])]


def columns(*, strict: bool = True) -> Columns:
    return Columns(COLUMNS.get, strict, ZoneInfo("Europe/Moscow"))


def ids(filter_: Any, *, strict: bool = True) -> list[int]:
    matches = compile_filter(filter_, columns(strict=strict))
    return [r.id for r in ROWS if matches(r)]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"id": "2"}, [2]),
        ({"=id": 2}, [2]),
        ({"!id": 2}, [1, 3]),
        ({"!=id": 2}, [1, 3]),
        ({"id": [1, "3"]}, [1, 3]),
        ({"@id": [1, 3]}, [1, 3]),
        ({"!@id": [1, 3]}, [2]),
        ({"!id": [1, 3]}, [2]),
        ({">id": 1}, [2, 3]),
        ({">=id": 2}, [2, 3]),
        ({"<id": 2}, [1]),
        ({"<=id": 2}, [1, 2]),
        ({">=id": 2, "<id": 3}, [2]),
        ({"title": "бета"}, [2]),
        ({"title": "Бета"}, []),
        ({"%title": "ЕТ"}, [2]),
        ({"!%title": "ет"}, [1, 3]),
        ({"=%title": "а%"}, [1]),
        ({"%=title": "%та"}, [2]),
        ({"!=%title": "%та"}, [1, 3]),
        ({"!%=title": "%та"}, [1, 3]),
        ({"title": ""}, [3]),
        ({"title": None}, [3]),
        ({"!title": ""}, [1, 2]),
        ({">sum": "100.5"}, [2]),
        ({">=sum": 100.5}, [1, 2]),
        ({"sum": 0}, []),
        ({"sum": ""}, [3]),
        ({">at": "2026-01-02"}, [2, 3]),
        ({">at": "2026-01-02T12:00:00"}, [3]),
        ({">=at": "2026-01-02T12:00:00"}, [2, 3]),
        ({">=at": "2026-01-02T09:00:00+00:00"}, [2, 3]),
        ({"on": "2026-01-03"}, [3]),
        ({"<on": "2026-01-02"}, [1]),
        ({"tags": 8}, [2]),
        ({"tags": 7}, [1, 2]),
        ({"!tags": 7}, [3]),
        ({"0": {"logic": "OR", "0": {"id": 1}, "1": {"title": "бета"}}}, [1, 2]),
        ([{"logic": "OR", "0": {"id": 1}, "1": {"id": 3}}], [1, 3]),
        ({"0": {"logic": "OR", "0": {"id": 1}, "1": {"id": 3}}, ">id": 1}, [3]),
        ({"0": {"0": {"id": 1}, "1": {"id": 3}}}, []),
    ],
)
def test_operator(filter_: Any, expected: list[int]) -> None:
    assert ids(filter_) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("!=%t", ("!=%", "t")),
        ("!@t", ("!@", "t")),
        ("%=t", ("%=", "t")),
        ("=%t", ("=%", "t")),
        ("t", ("", "t")),
    ],
)
def test_longest_operator_wins(key: str, expected: tuple[str, str]) -> None:
    assert split_operator(key) == expected


def test_unknown_field_is_an_error_in_strict_lists_and_lets_all_through_in_classic_ones() -> None:
    with pytest.raises(RestError) as caught:
        ids({"colour": 1})
    assert caught.value.body() == {
        "error": "INVALID_ARG_VALUE",
        "error_description": "Invalid filter: field 'colour' is not allowed in filter",
    }
    assert ids({"colour": 1}, strict=False) == [1, 2, 3]


def test_order_has_several_keys_and_puts_empty_values_first() -> None:
    more = [*ROWS, row(4, "Альфа", "7", 4, [])]
    assert [r.id for r in sort_rows(more, {"title": "ASC", "id": "DESC"}, columns())] == [3, 4, 1, 2]
    assert [r.id for r in sort_rows(more, {"sum": "desc"}, columns())] == [2, 1, 4, 3]
