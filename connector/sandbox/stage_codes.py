"""The pipelines of a history as each CRM would number and name their stages.

amoCRM: the history's own numbers, 142 and 143 shared, and the incoming stage «Неразобранное» in front.
Bitrix24: the first pipeline has id 0 and plain codes (`NEW` … `WON`, `LOSE`), any other has `C{id}:` before
them. Source: amoCRM API v4, pipelines and statuses; Bitrix24, crm.status.list.
"""

from __future__ import annotations

import zlib

from connector.sandbox.history_tables import LOST_STAGE, WON_STAGE, History, StageRow
from connector.sandbox.state import Pipeline, Stage

UNSORTED_NAME = "Неразобранное"
UNSORTED_SORT = 10
UNSORTED_COLOR = "#c1c1c1"
WON_COLOR, LOST_COLOR = "#CCFF66", "#D5D8DB"
#: Light to dark, colours that amoCRM accepts.
OPEN_COLORS = (
    "#d6eaff",
    "#c1e0ff",
    "#98cbff",
    "#fffd7f",
    "#ffdc7f",
    "#ffce5a",
    "#deff81",
    "#87f2c0",
    "#ccc8f9",
)

_BITRIX_OPEN = ("NEW", "PREPARATION", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE")
_BITRIX_CLOSED = {"won": ("WON", "WON"), "lost": ("LOSE", "APOLOGY")}


def code_of(history: History, dialect: str) -> dict[StageRow, str]:
    """The code of every stage of the history in that CRM."""
    if dialect == "amocrm":
        return {row: str(row.stage_id) for row in history.stages}
    codes: dict[StageRow, str] = {}
    for pipeline_id, rows in _by_pipeline(history).items():
        number = pipeline_of(history, dialect, pipeline_id)
        seen = {"open": 0, "won": 0, "lost": 0}
        for row in rows:
            place = seen[row.kind]
            seen[row.kind] += 1
            usual = _BITRIX_OPEN if row.kind == "open" else _BITRIX_CLOSED[row.kind]
            plain = usual[place] if place < len(usual) else _own_code(pipeline_id, row.stage_id)
            codes[row] = plain if number == 0 else f"C{number}:{plain}"
    return codes


def pipeline_of(history: History, dialect: str, pipeline_id: int) -> int:
    """The id of the history's pipeline in that CRM."""
    if dialect == "amocrm" or pipeline_id != history.stages[0].pipeline_id:
        return pipeline_id
    return 0


def build_pipelines(history: History, dialect: str) -> dict[int, Pipeline]:
    """All pipelines by their id in that CRM; the first one is the main one."""
    codes = code_of(history, dialect)
    found: dict[int, Pipeline] = {}
    for place, (pipeline_id, rows) in enumerate(_by_pipeline(history).items(), 1):
        number = pipeline_of(history, dialect, pipeline_id)
        name = history.account.pipelines.get(pipeline_id) or f"Воронка {pipeline_id}"
        pipeline = Pipeline(number, name, place * 10 if dialect == "bitrix24" else place, [], place == 1)
        if dialect == "amocrm":
            code = str(_unsorted_code(history, place))
            pipeline.stages.append(Stage(code, number, UNSORTED_NAME, UNSORTED_SORT, "open", UNSORTED_COLOR))
        for index, row in enumerate(rows, 1):
            pipeline.stages.append(
                Stage(
                    codes[row],
                    number,
                    row.name,
                    _sort(row, index, dialect),
                    row.kind,
                    _color(row, index),
                    row.is_qualified,
                    row.is_key,
                )
            )
        found[number] = pipeline
    return found


def _by_pipeline(history: History) -> dict[int, list[StageRow]]:
    order = {"open": 0, "won": 1, "lost": 2}
    found: dict[int, list[StageRow]] = {}
    for row in sorted(history.stages, key=lambda row: (order[row.kind], row.sort)):
        found.setdefault(row.pipeline_id, []).append(row)
    # Pipelines come in the order in which the history names them.
    first: dict[int, None] = dict.fromkeys(row.pipeline_id for row in history.stages)
    return {pipeline_id: found[pipeline_id] for pipeline_id in first}


def _sort(row: StageRow, index: int, dialect: str) -> int:
    if dialect == "bitrix24":
        return index * 10
    return {WON_STAGE: 10_000, LOST_STAGE: 11_000}.get(row.stage_id, UNSORTED_SORT + index * 10)


def _color(row: StageRow, index: int) -> str:
    if row.kind == "open":
        return OPEN_COLORS[(index - 1) % len(OPEN_COLORS)]
    return WON_COLOR if row.kind == "won" else LOST_COLOR


def _unsorted_code(history: History, place: int) -> int:
    """A free number for the incoming stage, above all that the history uses."""
    return max(max(row.stage_id for row in history.stages), LOST_STAGE) + place


def _own_code(pipeline_id: int, stage_id: int) -> str:
    """A code as Bitrix24 makes for a stage that a person adds: «UC_» and six signs."""
    digest = zlib.crc32(f"{pipeline_id}:{stage_id}".encode())
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return "UC_" + "".join(signs[digest // 36**k % 36] for k in range(6))
