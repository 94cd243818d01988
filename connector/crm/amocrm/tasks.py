"""People's tasks in amoCRM, with the moment of their completion. Must not know what is counted.

A task does not say when it was closed: its event does. Source: amoCRM developers' docs, pages «Задачи»,
«События и примечания».
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from connector.clock import Clock
from connector.crm.amocrm.api import AmoApi, Params
from connector.crm.amocrm.event_log import EventLog, of_types
from connector.crm.amocrm.walks import CLOCK_SKEW, Row, by_spans, chunks, first_moment, span, unix
from connector.crm.wild import Malformed, Wild
from connector.domain import CrmTask

COMPLETED = "task_completed"

IDS_AT_ONCE = 100

#: A span of time whose log tells of no completion at all is older than the log, or was imported: more tasks
#: than this are not asked for one by one there.
ASKED_SINGLY = 50


@dataclass(frozen=True, slots=True)
class AmoTask:
    """A task as it stands; `entity_type` is leads, contacts, companies, customers or "" for none."""

    id: str
    type_id: int
    entity_type: str
    entity_id: str | None
    text: str
    responsible_id: str | None
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None
    is_completed: bool
    result: str
    completed_at: datetime | None = None


class Tasks:
    """Reads the tasks of one account."""

    def __init__(self, api: AmoApi, log: EventLog, clock: Clock) -> None:
        self._api = api
        self._log = log
        self._clock = clock

    def of_deals(
        self, since: datetime | None, deal_id: str | None, meeting_types: frozenset[int]
    ) -> Iterator[CrmTask]:
        """Tasks of deals made or changed at or after `since`, oldest change first."""
        about_one = iter(self.about("leads", deal_id, since)) if deal_id is not None else None
        for row in about_one or self.changed(since, [("filter[entity_type]", "leads")]):
            task = row.thing
            yield CrmTask(
                id=task.id,
                deal_id=task.entity_id if task.entity_type == "leads" else None,
                text=task.text,
                responsible_id=task.responsible_id,
                created_at=task.created_at,
                updated_at=task.updated_at,
                due_at=task.due_at,
                completed_at=task.completed_at,
                result=task.result,
                is_meeting=task.type_id in meeting_types,
            )

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Those of these tasks that are there."""
        there: set[str] = set()
        for some in chunks(ids, IDS_AT_ONCE):
            chosen: Params = [("filter[id][]", one) for one in some]
            there.update(self._api.pages("tasks", "tasks", lambda item: item["id"].id(), chosen))
        return there

    def about(
        self, entity: str, entity_id: str, since: datetime | None, params: Params = ()
    ) -> list[Row[AmoTask]]:
        """Tasks of one thing, changed at or after `since`, oldest change first."""
        asked: list[tuple[str, object]] = [
            ("filter[entity_type]", entity),
            ("filter[entity_id][]", entity_id),
            *params,
        ]
        if since is not None:
            asked.append(("filter[updated_at][from]", unix(since)))
        found = [one for one in self._pages(asked) if (one.entity_type, one.entity_id) == (entity, entity_id)]
        return _rows(found, self._completions(found, {}))

    def changed(self, since: datetime | None, params: Params) -> Iterator[Row[AmoTask]]:
        """Tasks changed at or after `since`, or all of them, oldest change first, a span at a time."""
        start = since or first_moment(self._api, "tasks", "tasks")
        if start is None:
            return

        def read(start: datetime, end: datetime) -> list[Row[AmoTask]]:
            found = self._pages([*params, *span("updated_at", start, end)])
            known: dict[str, datetime] = {}
            if any(task.is_completed for task in found):
                closed = self._log.between(start, end, of_types([COMPLETED]))
                known = {entry.entity_id: entry.at for entry in closed}
            return _rows(found, self._completions(found, known))

        for rows in by_spans(read, start, self._clock.now() + CLOCK_SKEW):
            yield from rows

    def _pages(self, params: Params) -> list[AmoTask]:
        found = self._api.pages("tasks", "tasks", read_task, [*params, ("order[id]", "asc")])
        return list({task.id: task for task in found}.values())

    def _completions(self, tasks: Sequence[AmoTask], known: dict[str, datetime]) -> dict[str, datetime]:
        """When each closed task was closed: by its last event, else, as with imported ones, by its change."""
        closed = {task.id: task.updated_at for task in tasks if task.is_completed}
        unknown = sorted(closed.keys() - known.keys(), key=int)
        if not known and len(unknown) > ASKED_SINGLY:
            unknown = []
        told = {entry.entity_id: entry.at for entry in self._log.of("task", unknown, [COMPLETED])}
        return {task_id: known.get(task_id) or told.get(task_id) or at for task_id, at in closed.items()}


def _rows(tasks: Sequence[AmoTask], completed: dict[str, datetime]) -> list[Row[AmoTask]]:
    rows = [
        Row(task.updated_at, task.id, replace(task, completed_at=completed.get(task.id))) for task in tasks
    ]
    return sorted(rows, key=lambda row: (row.at, int(row.id)))


def _due(item: Wild) -> datetime | None:
    """A term that no calendar has, as imports leave it, is none."""
    try:
        return item["complete_till"].unix()
    except Malformed:
        return None


def read_task(item: Wild) -> AmoTask:
    """A task; its `result` is an empty list until there is one."""
    result = item.get("result")
    return AmoTask(
        id=item["id"].id(),
        type_id=item["task_type_id"].int(),
        entity_type=item.text_at("entity_type"),
        entity_id=item.id_at("entity_id"),
        text=item.text_at("text"),
        responsible_id=item.id_at("responsible_user_id"),
        created_at=item["created_at"].unix(),
        updated_at=item["updated_at"].unix(),
        due_at=_due(item),
        is_completed=item["is_completed"].flag(),
        result=result.text_at("text") if result is not None and result.is_map else "",
    )
