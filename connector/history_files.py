"""A folder in the history format -> rows of the store's tables, each bad cell named by file, line and column.

`account.json` and one CSV or Parquet file a table. Knows nothing of databases: values come as Python's, an
empty cell as None.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from connector.errors import ConfigError, Problem

#: More mistakes than this help nobody.
MAX_PROBLEMS = 50

#: Rows converted and handed on at one go.
CHUNK = 20_000

#: Different cells of one kind that are remembered, so that their values are made once.
KNOWN_CELLS = 1_000_000

Convert = Callable[[str], Any]


class _BadCell(ValueError):
    """What is wrong with a cell, Russian."""


@dataclass(frozen=True, slots=True)
class HistoryAccount:
    """What `account.json` says. `as_of`: everything before it has happened."""

    timezone: str
    currency: str
    as_of: datetime
    goal: Decimal | None
    pipelines: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file; `needed` ones may not be empty."""

    name: str
    convert: Convert
    needed: bool = False


def read_account(folder: Path) -> HistoryAccount:
    """The account of the folder. Raises ConfigError."""
    path = folder / "account.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
        return HistoryAccount(
            timezone=ZoneInfo(told["tz"]).key,
            currency=str(told.get("currency") or "RUB"),
            as_of=_moment(str(told["as_of_utc"])),
            goal=None if told.get("revenue_goal") is None else Decimal(str(told["revenue_goal"])),
            pipelines={str(key): str(name) for key, name in (told.get("pipelines") or {}).items()},
        )
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "нет такого файла: это не папка с историей")]) from None
    except KeyError as error:
        raise ConfigError([Problem(str(path), f"нет поля {error}")]) from None
    except (OSError, ValueError, ArithmeticError, AttributeError) as error:
        raise ConfigError([Problem(str(path), f"не читается: {error}")]) from None


def has_table(folder: Path, table: str) -> bool:
    """Whether the folder has that table in either form."""
    return _file(folder, table) is not None


def count_rows(folder: Path, table: str) -> int:
    """About how many rows the table has, for a progress bar; 0 for a table that is not there."""
    path = _file(folder, table)
    if path is None:
        return 0
    if path.suffix == ".parquet":
        with duckdb.connect() as db:
            found = db.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone()
            return int(found[0]) if found else 0
    with path.open("rb") as source:
        head = source.read(1_000_000)
    lines = head.count(b"\n")
    return round(path.stat().st_size / max(len(head), 1) * lines)


def read_table(
    folder: Path, table: str, columns: Sequence[Column], problems: list[Problem]
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of the table in chunks, each a tuple in the order of `columns`.

    Bad cells go to `problems` with `file:line` (for Parquet the number of the row), and their rows are left
    out; after MAX_PROBLEMS reading ends. A table that is not there has no rows.
    """
    path = _file(folder, table)
    if path is None:
        return
    known = {column.convert: _Known(column.convert) for column in columns}
    reading = _csv(path, problems) if path.suffix == ".csv" else _parquet(path, problems)
    header = next(reading, None)
    if header is None:
        return
    missing = [column.name for column in columns if column.name not in header[1][0]]
    if missing:
        problems.append(Problem(f"{path}:1", f"нет колонок: {', '.join(missing)}"))
        return
    places = [(header[1][0].index(column.name), column) for column in columns]
    for first_line, rows in reading:
        by_column = list(zip(*rows, strict=True)) if len({len(row) for row in rows}) == 1 else None
        try:
            if by_column is None or len(by_column) != len(header[1][0]):
                raise _BadCell
            read = []
            for place, column in places:
                values = list(map(known[column.convert].__getitem__, by_column[place]))
                if column.needed and None in values:
                    raise _BadCell
                read.append(values)
            yield list(zip(*read, strict=True))
        except (ValueError, ArithmeticError):
            yield list(_row_by_row(path, first_line, rows, places, len(header[1][0]), problems))
        if len(problems) >= MAX_PROBLEMS:
            return


def _row_by_row(
    path: Path,
    first_line: int,
    rows: Sequence[Sequence[str]],
    places: Sequence[tuple[int, Column]],
    width: int,
    problems: list[Problem],
) -> Iterator[tuple[Any, ...]]:
    """The good rows of a chunk in which something is wrong."""
    line = first_line
    for row in rows:
        place = f"{path}:{line}"
        line += 1 + sum(cell.count("\n") for cell in row)
        if len(problems) >= MAX_PROBLEMS:
            return
        if not row:
            continue
        if len(row) != width:
            problems.append(Problem(place, f"колонок {len(row)}, а должно быть {width}"))
            continue
        values = []
        for at, column in places:
            try:
                value = column.convert(row[at])
            except (ValueError, ArithmeticError) as error:
                reason = str(error) if isinstance(error, _BadCell) else "не читается"
                problems.append(Problem(place, f"{column.name}: «{row[at][:60]}» {reason}"))
                break
            if value is None and column.needed:
                problems.append(Problem(place, f"{column.name}: пусто"))
                break
            values.append(value)
        else:
            yield tuple(values)


def _file(folder: Path, table: str) -> Path | None:
    return next(
        (path for suffix in ("csv", "parquet") if (path := folder / f"{table}.{suffix}").is_file()), None
    )


def _csv(path: Path, problems: list[Problem]) -> Iterator[tuple[int, list[list[str]]]]:
    """(line of the first row, rows); the header comes first, alone."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            reader = csv.reader(source)
            yield 1, [next(reader, [])]
            line = reader.line_num + 1
            for rows in iter(lambda: list(islice(reader, CHUNK)), []):
                yield line, rows
                line = reader.line_num + 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(Problem(str(path), f"не читается: {error}"))


def _parquet(path: Path, problems: list[Problem]) -> Iterator[tuple[int, list[list[str]]]]:
    """The same of a Parquet file, every value as the text that CSV would have."""
    try:
        with duckdb.connect() as db:
            found = db.execute("SELECT * FROM read_parquet(?)", [str(path)])
            yield 1, [[name for name, *_ in found.description or ()]]
            line = 1
            while rows := found.fetchmany(CHUNK):
                yield line, [[_as_text(value) for value in row] for row in rows]
                line += len(rows)
    except duckdb.Error as error:
        problems.append(Problem(str(path), f"не читается: {error}"))


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class _Known(dict[str, Any]):
    """Cells read before, by their text: a sales department's ids, moments and sums come again and again."""

    def __init__(self, convert: Convert) -> None:
        self._convert = convert

    def __missing__(self, text: str) -> Any:
        value = self._convert(text)
        if len(self) < KNOWN_CELLS:
            self[text] = value
        return value


# Cells ------------------------------------------------------------------------------------------------------


def text(cell: str) -> str | None:
    return cell or None


def text_or_empty(cell: str) -> str:
    return cell


def moment(cell: str) -> datetime | None:
    return _moment(cell) if cell else None


def _moment(cell: str) -> datetime:
    try:
        found = datetime.fromisoformat(cell)
    except ValueError:
        raise _BadCell("не время: нужно вида 2025-01-08 04:29:57") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def day(cell: str) -> date | None:
    try:
        return date.fromisoformat(cell[:10]) if cell else None
    except ValueError:
        raise _BadCell("не дата: нужно вида 2025-01-08") from None


def whole(cell: str) -> int | None:
    try:
        return int(Decimal(cell)) if cell else None
    except (InvalidOperation, ValueError, OverflowError):
        raise _BadCell("не целое число") from None


def amount(cell: str) -> Decimal | None:
    if not cell:
        return None
    try:
        value = Decimal(cell)
        if not value.is_finite() or abs(value) >= 10**15:
            raise _BadCell("не сумма: слишком велика или не число")
    except InvalidOperation:
        raise _BadCell("не сумма: нужно вида 1500.50") from None
    if value != round(value, 2):
        raise _BadCell("не сумма: больше двух знаков после точки")
    return value


_FLAGS = {
    **dict.fromkeys(("1", "true", "t", "yes"), True),
    **dict.fromkeys(("0", "false", "f", "no", ""), False),
}


def flag(cell: str) -> bool:
    try:
        return _FLAGS[cell.lower()]
    except KeyError:
        raise _BadCell("нужно 1 или 0") from None


def month(cell: str) -> date | None:
    """`2026-12` and `2026-12-01` are both in use."""
    found = day(f"{cell}-01" if len(cell) == 7 else cell)
    return None if found is None else found.replace(day=1)


def _one_of(*words: str) -> Convert:
    def convert(cell: str) -> str:
        if cell not in words:
            raise _BadCell(f"не из: {', '.join(words)}")
        return cell

    return convert


#: Kinds of cells by the word that `columns` takes.
KINDS: Mapping[str, Convert] = {
    "id": text,
    "text": text_or_empty,
    "moment": moment,
    "day": day,
    "month": month,
    "whole": whole,
    "amount": amount,
    "flag": flag,
    "kind": _one_of("open", "won", "lost"),
    "direction": _one_of("in", "out"),
    "meeting": _one_of("held", "cancelled", "planned"),
    "invoice": _one_of("issued", "paid", "cancelled"),
}


def columns(spec: str) -> list[Column]:
    """`deal_id:id! price:amount` as columns; `!` marks those that may not be empty."""
    found = []
    for word in spec.split():
        name, kind = word.rstrip("!").split(":")
        found.append(Column(name, KINDS[kind], word.endswith("!")))
    return found
