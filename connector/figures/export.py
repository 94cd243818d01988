"""Figure tables as files: csv or json, one row a line, sorted by their keys, empty where undefined."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, TextIO

from connector.figures.stats import natural

Format = Literal["csv", "json"]

_KOPECK = Decimal("0.01")


def write(
    rows: Sequence[Any],
    format: Format,
    out: TextIO,
    *,
    row_type: type[Any] | None = None,
    keys: Sequence[str] = (),
    money: Sequence[str] = (),
) -> None:
    """Write figure rows to `out`; an empty table still has its heading (csv needs `row_type` for it).

    keys: columns to sort by, in this order; money: columns shown with two decimals.
    """
    kind = row_type or (type(rows[0]) if rows else None)
    columns = [field.name for field in dataclasses.fields(kind)] if kind else []
    ordered = sorted(rows, key=lambda row: [_sort_key(getattr(row, key)) for key in keys])
    if format == "csv":
        table = csv.writer(out, lineterminator="\n")
        table.writerow(columns)
        for row in ordered:
            table.writerow([_text(getattr(row, name), _is_money(row, name, money)) for name in columns])
        return
    lines = []
    for row in ordered:
        cells = (
            f"{json.dumps(name)}: {_literal(getattr(row, name), _is_money(row, name, money))}"
            for name in columns
        )
        lines.append("{" + ", ".join(cells) + "}")
    out.write("[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n")


def _is_money(row: Any, name: str, money: Sequence[str]) -> bool:
    return name in money and getattr(row, "is_money", True)


def _text(value: object, is_money: bool) -> str:
    """A figure as text; shares, times and rates keep ten decimals without trailing zeros."""
    if value is None:
        return ""
    if isinstance(value, Decimal) and is_money:
        return f"{value.quantize(_KOPECK, ROUND_HALF_UP):f}"
    if isinstance(value, float | Decimal):
        text = f"{value:.10f}".rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    return value.isoformat() if isinstance(value, date) else str(value)


def _literal(value: object, is_money: bool) -> str:
    if value is None:
        return "null"
    if isinstance(value, str | date):
        return json.dumps(str(value), ensure_ascii=False)
    return _text(value, is_money)


def _sort_key(value: object) -> tuple[int, int, str]:
    if value is None:
        return natural("")
    return natural(value.isoformat() if isinstance(value, date) else str(value))
