"""Quotes (7), invoices (31) and smart processes (128 and on): objects of `crm.item.*` that the shared portal
has no place for, with their own pipelines, stages and moves.

Source: reference sections 4.1, 4.2, 4.5 and 4.6; the stages of quotes are recalled, not documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from connector.sandbox.state import Pipeline, Portal, ProductRow, Stage

LEAD, QUOTE, INVOICE, FIRST_DYNAMIC = 1, 7, 31, 128

#: Code, name, kind of the stages that a new pipeline starts with.
_INVOICE_STAGES: Final = (
    ("N", "Новый", "open"),
    ("S", "Отправлен", "open"),
    ("P", "Оплачен", "won"),
    ("D", "Не оплачен", "lost"),
)
_DYNAMIC_STAGES: Final = (
    ("NEW", "Начало", "open"),
    ("PREPARATION", "Подготовка", "open"),
    ("CLIENT", "Согласование", "open"),
    ("SUCCESS", "Успех", "won"),
    ("FAIL", "Провал", "lost"),
)
_QUOTE_STAGES: Final = (
    ("DRAFT", "Новое", "open"),
    ("SENT", "Отправлено клиенту", "open"),
    ("APPROVED", "Принято", "won"),
    ("DECLAINED", "Отклонено", "lost"),
)


@dataclass(slots=True)
class SmartType:
    """A smart process as its record says; `id` is not its `entityTypeId`."""

    id: int
    type_id: int
    title: str
    code: str
    created_by: int
    flags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class SmartItem:
    """One quote, invoice or element of a smart process; `fields` by their upper-case names."""

    id: int
    type_id: int
    category_id: int
    stage: str
    created_by: int
    updated_by: int
    moved_by: int
    created_at: datetime
    updated_at: datetime
    moved_at: datetime
    previous_stage: str = ""
    fields: dict[str, object] = field(default_factory=dict)
    rows: list[ProductRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SmartMove:
    """One line of stage history of a lead, an invoice or an element."""

    id: int
    type_id: int
    owner_id: int
    at: datetime
    kind: int
    category_id: int
    stage: str
    semantics: str


class SmartStore:
    """All such objects of one portal. Callers hold the portal's lock, as every method call does.

    `past`: invoices of a loaded history that nobody has changed yet; `gone`: ids of those that were deleted.
    """

    NOT_KEPT = frozenset({"past"})

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self.types: dict[int, SmartType] = {}
        self.items: dict[int, dict[int, SmartItem]] = {QUOTE: {}, INVOICE: {}}
        self.past: dict[int, SmartItem] = {}
        self.gone: set[int] = set()
        self.moves: list[SmartMove] = []
        self._pipelines: dict[int, dict[int, Pipeline]] = {}

    def all(self, type_id: int) -> dict[int, SmartItem]:
        """Those of a kind by id."""
        items = self.items.get(type_id, {})
        return {**self.past, **items} if type_id == INVOICE and self.past else items

    def put(self, item: SmartItem) -> None:
        self.items[item.type_id][item.id] = item
        if item.type_id == INVOICE:
            self.past.pop(item.id, None)

    def remove(self, type_id: int, number: int) -> SmartItem | None:
        if type_id == INVOICE and number in self.past:
            self.gone.add(number)
            return self.past.pop(number)
        return self.items[type_id].pop(number, None)

    def add_type(self, title: str, type_id: int, code: str, by: int, flags: Mapping[str, str]) -> SmartType:
        """A new smart process; type_id 0 takes the next free number."""
        if not type_id:
            type_id = max([FIRST_DYNAMIC - 2, *self.types]) + 2
        number = self._portal.new_id("smart_type")
        made = SmartType(number, type_id, title, code, by, dict(flags))
        self.types[type_id] = made
        self.items[type_id] = {}
        return made

    def delete_type(self, type_id: int) -> None:
        del self.types[type_id], self.items[type_id]
        self._pipelines.pop(type_id, None)

    def pipelines(self, type_id: int) -> dict[int, Pipeline]:
        """Pipelines of a kind by id; the first is there from the beginning."""
        if type_id not in self._pipelines:
            self._pipelines[type_id] = {}
            name = "Предложения" if type_id == QUOTE else "Общая"
            self.add_pipeline(type_id, name, 500, is_main=True)
        return self._pipelines[type_id]

    def add_pipeline(self, type_id: int, name: str, sort: int, *, is_main: bool = False) -> Pipeline:
        number = 0 if type_id == QUOTE else self._portal.new_id("smart_category", 3)
        rows = {QUOTE: _QUOTE_STAGES, INVOICE: _INVOICE_STAGES}.get(type_id, _DYNAMIC_STAGES)
        prefix = stage_prefix(type_id, number)
        stages = [
            Stage(f"{prefix}{code}", number, title, place * 10, kind)
            for place, (code, title, kind) in enumerate(rows, 1)
        ]
        made = Pipeline(number, name, sort, stages, is_main)
        self._pipelines.setdefault(type_id, {})[number] = made
        return made

    def stage(self, item: SmartItem) -> Stage | None:
        pipeline = self.pipelines(item.type_id).get(item.category_id)
        return next((s for s in pipeline.stages if s.code == item.stage), None) if pipeline else None

    def note_move(self, item: SmartItem, kind: int, semantics: str) -> None:
        self.note(item.type_id, item.id, item.updated_at, kind, item.category_id, item.stage, semantics)

    def note(
        self, type_id: int, owner_id: int, at: datetime, kind: int, category: int, stage: str, semantics: str
    ) -> None:
        """Write a line of stage history; ids of a kind ascend."""
        number = self._portal.new_id(f"smart_move_{type_id}")
        self.moves.append(SmartMove(number, type_id, owner_id, at, kind, category, stage, semantics))


def stage_prefix(type_id: int, category_id: int) -> str:
    return "" if type_id == QUOTE else f"DT{type_id}_{category_id}:"


def stage_directory(type_id: int, category_id: int) -> str:
    """ENTITY_ID of the stages in `crm.status.list`."""
    if type_id == QUOTE:
        return "QUOTE_STATUS"
    if type_id == INVOICE:
        return f"SMART_INVOICE_STAGE_{category_id}"
    return f"DYNAMIC_{type_id}_STAGE_{category_id}"
