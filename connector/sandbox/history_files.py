"""A folder in the history format: written from a `History`, read into one.

Every bad cell is reported as `file:line`, all together, in a `ConfigError`. Knows nothing of portals.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

from connector.errors import ConfigError, Problem
from connector.sandbox.history_tables import TABLES, History, HistoryAccount

#: Hears (what is done, lines done, lines in all; 0 = unknown).
Progress = Callable[[str, int, int], None]

#: More problems than this help nobody: reading stops.
MAX_PROBLEMS = 50
#: Rows between two words on how far the reading is.
PROGRESS_ROWS = 50_000
#: Rows converted at one go.
CHUNK_ROWS = 2000
#: Different cells of one type that are remembered, so that their values are made once.
KNOWN_CELLS = 1_000_000
_BARE_MOMENT = len("2026-11-25 09:30:00")
#: Tables without which there is nothing to show; the others may be missing.
REQUIRED = ("managers", "stages", "deals", "transitions")

_BOOLS = {
    "1": True,
    "true": True,
    "t": True,
    "yes": True,
    "0": False,
    "false": False,
    "f": False,
    "no": False,
}
_ALLOWED = {
    ("calls", "direction"): ("in", "out"),
    ("messages", "direction"): ("in", "out"),
    ("meetings", "status"): ("held", "cancelled", "planned"),
    ("invoices", "status"): ("issued", "paid", "cancelled"),
    ("stages", "kind"): ("open", "won", "lost"),
}


def write_history(history: History, folder: Path) -> None:
    """Write `account.json` and one CSV a table; the folder is made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    account = history.account
    document = {
        "tz": account.tz,
        "as_of_utc": _cell(account.as_of_utc),
        "last_day": _cell(account.last_day),
        "period_from": _cell(account.period_from),
        "period_to": _cell(account.period_to),
        "work_start_hour": account.work_start_hour,
        "work_end_hour": account.work_end_hour,
        "work_weekdays": list(account.work_weekdays),
        "currency": account.currency,
        "revenue_goal": float(account.revenue_goal),
        "pipelines": {str(key): name for key, name in account.pipelines.items()},
    }
    (folder / "account.json").write_text(
        json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    for table, row_type in TABLES.items():
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(row_type._fields)
            writer.writerows([_cell(value) for value in row] for row in getattr(history, table))


def silent(_what: str, _done: int, _total: int) -> None:
    """The progress that nobody wants to hear."""


def read_history(folder: Path, progress: Progress = silent) -> History:
    """The history in `folder`. Raises ConfigError that names file, line and column of every bad cell."""
    problems: list[Problem] = []
    account = _read_account(folder, problems)
    if account is None:
        raise ConfigError(problems)
    history = History(account)
    known: dict[Callable[[str], Any], _Known] = {}
    for table in TABLES:
        rows = getattr(history, table)
        for row in _read_table(folder, table, known, problems):
            rows.append(row)
            if len(rows) % PROGRESS_ROWS == 0:
                progress(f"читаю {table}.csv", len(rows), 0)
        if len(problems) >= MAX_PROBLEMS:
            break
    if not problems:
        problems.extend(islice(_dangling(history, folder), MAX_PROBLEMS))
    if problems:
        raise ConfigError(problems[:MAX_PROBLEMS])
    return history


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def _read_account(folder: Path, problems: list[Problem]) -> HistoryAccount | None:
    path = folder / "account.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        problems.append(Problem(str(path), "нет такого файла: это не папка с историей"))
        return None
    except (OSError, ValueError) as error:
        problems.append(Problem(str(path), f"не читается: {error}"))
        return None
    try:
        ZoneInfo(document["tz"])
        return HistoryAccount(
            tz=document["tz"],
            as_of_utc=_moment(document["as_of_utc"]),
            last_day=_day(document["last_day"]),
            period_from=_day(document["period_from"]),
            period_to=_day(document["period_to"]),
            work_start_hour=int(document.get("work_start_hour", 9)),
            work_end_hour=int(document.get("work_end_hour", 18)),
            work_weekdays=tuple(int(day) for day in document.get("work_weekdays", (1, 2, 3, 4, 5))),
            currency=document.get("currency", "RUB"),
            revenue_goal=Decimal(str(document.get("revenue_goal") or 0)),
            pipelines={int(key): str(name) for key, name in document.get("pipelines", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
        problems.append(Problem(str(path), f"нет поля или в нём не то: {error}"))
        return None


def _read_table(
    folder: Path, table: str, known: dict[Callable[[str], Any], _Known], problems: list[Problem]
) -> Iterator[Any]:
    path = folder / f"{table}.csv"
    row_type = TABLES[table]
    if not path.is_file():
        if (folder / f"{table}.parquet").is_file():
            problems.append(Problem(str(folder / f"{table}.parquet"), "песочница читает только CSV"))
        elif table in REQUIRED:
            problems.append(Problem(str(path), "нет такого файла"))
        return
    with path.open(encoding="utf-8-sig", newline="") as source:
        reader = csv.reader(source)
        header = next(reader, [])
        missing = [name for name in row_type._fields if name not in header]
        if missing:
            problems.append(Problem(f"{path}:1", f"нет колонок: {', '.join(missing)}"))
            return
        width = len(header)
        # (place in the file, reader of the cell) in the order of the tuple's fields.
        plan = [(header.index(name), convert) for name, convert in _converters(table)]
        readers = [(place, known.setdefault(read, _Known(read)).__getitem__) for place, read in plan]
        for rows in iter(lambda: list(islice(reader, CHUNK_ROWS)), []):
            try:
                if set(map(len, rows)) != {width}:
                    raise ValueError("a row of another width")
                # Column by column, as most cells are such as were read before.
                columns = list(zip(*rows, strict=True))
                read = [list(map(convert, columns[place])) for place, convert in readers]
                yield from map(row_type._make, zip(*read, strict=True))
            except (ValueError, InvalidOperation):
                yield from _row_by_row(rows, reader.line_num, path, table, header, problems)
            if len(problems) >= MAX_PROBLEMS:
                return


def _row_by_row(
    rows: list[list[str]], last_line: int, path: Path, table: str, header: list[str], problems: list[Problem]
) -> Iterator[Any]:
    """The good rows of a chunk in which something is wrong; what is goes to `problems`, with its line."""
    row_type = TABLES[table]
    plan = [(header.index(name), convert) for name, convert in _converters(table)]
    line = last_line - sum(map(_lines, rows))
    for cells in rows:
        line += _lines(cells)
        if not cells:
            continue
        if len(cells) != len(header):
            problems.append(Problem(f"{path}:{line}", f"колонок {len(cells)}, а должно быть {len(header)}"))
        else:
            try:
                yield row_type._make([convert(cells[place]) for place, convert in plan])
            except (ValueError, InvalidOperation):
                problems.append(_bad_cell(path, line, table, header, cells))
        if len(problems) >= MAX_PROBLEMS:
            return


def _lines(cells: list[str]) -> int:
    """Lines of the file that a row takes: one more for each break inside its cells."""
    return 1 + sum(len(re.findall("\r\n|\r|\n", cell)) for cell in cells if not cell.isprintable())


class _Known(dict[str, Any]):
    """Cells read before, by their text: a sales department's ids, moments and sums come again and again."""

    def __init__(self, convert: Callable[[str], Any]) -> None:
        self._convert = convert

    def __missing__(self, text: str) -> Any:
        value = self._convert(text)
        if len(self) < KNOWN_CELLS:
            self[text] = value
        return value


def _bad_cell(path: Path, line: int, table: str, header: list[str], cells: list[str]) -> Problem:
    for name, convert in _converters(table):
        text = cells[header.index(name)]
        try:
            convert(text)
        except (ValueError, InvalidOperation) as error:
            reason = str(error) if type(error) is ValueError and "[" in str(error) else "не читается"
            shown = text if len(text) <= 60 else text[:60] + "…"
            return Problem(f"{path}:{line}", f"{name}: {shown!r} {reason}".strip())
    return Problem(f"{path}:{line}", "строка не читается")


def _converters(table: str) -> list[tuple[str, Callable[[str], Any]]]:
    """(column, reader of its cell) for every field of the table's tuple."""
    hints = get_type_hints(TABLES[table])
    plan: list[tuple[str, Callable[[str], Any]]] = []
    for name in TABLES[table]._fields:
        allowed = _ALLOWED.get((table, name))
        plan.append((name, _one_of(allowed) if allowed else _READERS[hints[name]]))
    return plan


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"не из [{', '.join(allowed)}]")
        return text

    return read


def _moment(text: str) -> datetime:
    if len(text) == _BARE_MOMENT:
        return datetime.fromisoformat(f"{text}Z")
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _day(text: str) -> date:
    # A month of the plans may be written as 2026-11.
    return date.fromisoformat(text + "-01" if len(text) == 7 else text)


def _bool(text: str) -> bool:
    try:
        return _BOOLS[text.lower()]
    except KeyError:
        raise ValueError("не из [0, 1]") from None


def _int(text: str) -> int:
    # Tables saved by a data frame carry a whole number beside empty cells as 17.0.
    return int(text[:-2] if text.endswith(".0") else text)


def _money(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError("не [число]")
    return value


def _optional(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: convert(text) if text else None


_READERS: dict[Any, Callable[[str], Any]] = {
    int: _int,
    int | None: _optional(_int),
    str: str,
    str | None: lambda text: text.removesuffix(".0") or None,
    bool: _bool,
    Decimal: _money,
    Decimal | None: _optional(_money),
    datetime: _moment,
    datetime | None: _optional(_moment),
    date: _day,
    date | None: _optional(_day),
}


def _dangling(history: History, folder: Path) -> Iterator[Problem]:
    """Rows that point at what no table holds. Lines are counted as written: one row a line."""
    stages = {(row.pipeline_id, row.stage_id) for row in history.stages}
    managers = {row.manager_id for row in history.managers}
    reasons = {row.loss_reason_id for row in history.loss_reasons}
    deals: set[int] = set()
    for line, deal in enumerate(history.deals, 2):
        place = f"{folder / 'deals.csv'}:{line}"
        if deal.deal_id in deals:
            yield Problem(place, f"deal_id: {deal.deal_id} уже был выше")
        deals.add(deal.deal_id)
        if (deal.pipeline_id, deal.stage_id) not in stages:
            yield Problem(place, f"stage_id: нет этапа {deal.stage_id} воронки {deal.pipeline_id}")
        if deal.manager_id is not None and deal.manager_id not in managers:
            yield Problem(place, f"manager_id: нет менеджера {deal.manager_id}")
        if deal.loss_reason_id is not None and deal.loss_reason_id not in reasons:
            yield Problem(place, f"loss_reason_id: нет причины отказа {deal.loss_reason_id}")
    moves = folder / "transitions.csv"
    for line, move in enumerate(history.transitions, 2):
        if move.deal_id not in deals:
            yield Problem(f"{moves}:{line}", f"deal_id: нет сделки {move.deal_id}")
        if (move.pipeline_id, move.to_stage_id) not in stages:
            text = f"to_stage_id: нет этапа {move.to_stage_id} воронки {move.pipeline_id}"
            yield Problem(f"{moves}:{line}", text)
    for table in ("calls", "messages", "meetings", "tasks", "invoices"):
        for line, row in enumerate(getattr(history, table), 2):
            if row.deal_id not in deals:
                yield Problem(f"{folder / table}.csv:{line}", f"deal_id: нет сделки {row.deal_id}")
