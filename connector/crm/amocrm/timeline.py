"""What we write into a deal: notes with files, tasks, reports on the service deal. Must not know why.

amoCRM has no idempotency keys, so each method that creates can look for its own trace first.
Source: amoCRM developers' docs, pages «Примечания», «Задачи», «Теги».
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from connector.clock import Clock
from connector.crm.amocrm.api import AmoApi
from connector.crm.amocrm.files import FileStore
from connector.crm.amocrm.tasks import read_task
from connector.crm.wild import Wild
from connector.domain import SERVICE_TAG, CrmFile

SERVICE_DEAL = "Отчёты Коннектора"

#: amoCRM's clock and ours may differ; anything that much older than `since` still counts as ours.
CLOCK_SKEW = timedelta(seconds=30)

#: Built-in task type «Связаться»; the rest differ between accounts.
FOLLOW_UP = 1


class Timeline:
    """Writes of one account."""

    def __init__(self, api: AmoApi, files: FileStore, clock: Clock, zone: ZoneInfo) -> None:
        self._api = api
        self._files = files
        self._clock = clock
        self._zone = zone

    def add_note(
        self, deal_id: str, text: str, files: Sequence[CrmFile], *, may_exist: bool, since: datetime
    ) -> str:
        """One request makes the notes of all files and of the text, so that all of them are there or none.

        The id is that of the text's note, or of the last file's when there is no text.
        """
        earliest = since - CLOCK_SKEW
        if may_exist:
            known = self._find_note(deal_id, text, files, earliest)
            if known is not None:
                return known
        stored = self._files.put_on_deal(deal_id, files, since=earliest if may_exist else None)
        notes = [
            _note(
                deal_id,
                "attachment",
                {"file_uuid": kept.uuid, "version_uuid": kept.version_uuid, "file_name": file.name},
            )
            for file, kept in zip(files, stored, strict=True)
        ]
        if text:
            notes.append(_note(deal_id, "common", {"text": text}))
        return self._api.add("leads/notes", "notes", notes)[-1]

    def add_task(
        self,
        deal_id: str | None,
        text: str,
        *,
        responsible_id: str | None,
        due_at: datetime,
        may_exist: bool,
        since: datetime,
    ) -> str:
        """A task of type «Связаться»; without `responsible_id` amoCRM gives it to the token's user.

        One that is about no deal stands in the service deal: amoCRM shows it there with our reports.
        """
        deal_id = self.service_deal() if deal_id is None else deal_id
        if may_exist:
            known = self._find_task(deal_id, text, responsible_id, since - CLOCK_SKEW)
            if known is not None:
                return known
        task: dict[str, object] = {
            "task_type_id": FOLLOW_UP,
            "text": text,
            "complete_till": int(due_at.timestamp()),
            "entity_id": int(deal_id),
            "entity_type": "leads",
        }
        if responsible_id is not None:
            task["responsible_user_id"] = int(responsible_id)
        return self._api.add("tasks", "tasks", [task])[0]

    def task_answer(self, task_id: str) -> str | None:
        """The result's text of a closed task, "" without one; None while it is open."""
        task = self._api.one(f"tasks/{task_id}", read_task)
        return "" if task is None else task.result if task.is_completed else None

    def complete_task(self, task_id: str, result: str) -> None:
        """A task that is closed keeps the result that somebody else gave it."""
        is_completed = self._api.one(f"tasks/{task_id}", lambda item: item["is_completed"].flag())
        if is_completed is False:
            self._api.put("PATCH", f"tasks/{task_id}", {"is_completed": True, "result": {"text": result}})

    def post_report(
        self,
        title: str,
        text: str,
        *,
        to_user_id: str,
        files: Sequence[CrmFile],
        may_exist: bool,
        since: datetime,
    ) -> str:
        """A note on the service deal and a task there that calls the person; the note's id.

        A task is what amoCRM shows a person by himself; it is due at the end of his day. Without a person the
        note stands there for all.
        """
        deal_id = self.service_deal()
        note_id = self.add_note(deal_id, f"{title}\n\n{text}", files, may_exist=may_exist, since=since)
        if not to_user_id:
            return note_id
        today = self._clock.now().astimezone(self._zone).date()
        self.add_task(
            deal_id,
            f"Посмотреть отчёт: {title}",
            responsible_id=to_user_id,
            due_at=datetime.combine(today, time(23, 59), self._zone),
            may_exist=may_exist,
            since=since,
        )
        return note_id

    def service_deal(self) -> str:
        """The deal that carries our reports, made once; its tag keeps it out of figures and rules.

        It is found by its name through the full-text search, which costs nothing, and known by its tag:
        deals cannot be filtered by tag.
        """
        found = sorted(
            (deal_id, tags)
            for deal_id, tags in self._api.pages(
                "leads", "leads", _id_and_tags, [("query", SERVICE_DEAL), ("order[id]", "asc")]
            )
            if SERVICE_TAG in tags
        )
        if found:
            return str(found[0][0])
        deal = {"name": SERVICE_DEAL, "_embedded": {"tags": [{"name": SERVICE_TAG}]}}
        return self._api.add("leads", "leads", [deal])[0]

    def _find_note(self, deal_id: str, text: str, files: Sequence[CrmFile], earliest: datetime) -> str | None:
        """Our earlier note: the one with the text, or with the last file when there is no text."""
        kind = "common" if text else "attachment"
        wanted = text.strip() or (files[-1].name if files else "")
        found = self._api.pages(
            f"leads/{deal_id}/notes",
            "notes",
            _note_facts,
            [
                ("filter[note_type][]", kind),
                ("filter[updated_at][from]", int(earliest.timestamp())),
                ("order[id]", "asc"),
            ],
        )
        return next(
            (
                note_id
                for note_id, note_kind, said, at in found
                if note_kind == kind and wanted in said and at >= earliest
            ),
            None,
        )

    def _find_task(
        self, deal_id: str, text: str, responsible_id: str | None, earliest: datetime
    ) -> str | None:
        found = self._api.pages(
            "tasks",
            "tasks",
            _task_facts,
            [
                ("filter[entity_type]", "leads"),
                ("filter[entity_id][]", deal_id),
                ("filter[updated_at][from]", int(earliest.timestamp())),
                ("order[id]", "asc"),
            ],
        )
        return next(
            (
                task_id
                for task_id, task_deal, said, at, person in found
                if task_deal == deal_id
                and said == text
                and at >= earliest
                and responsible_id in (None, person)
            ),
            None,
        )


def _note(deal_id: str, note_type: str, params: dict[str, str]) -> dict[str, object]:
    return {
        "entity_id": int(deal_id),
        "note_type": note_type,
        "params": params,
        # Our own writes must start nothing in the customer's digital pipeline.
        "is_need_to_trigger_digital_pipeline": False,
    }


def _note_facts(item: Wild) -> tuple[str, str, tuple[str, ...], datetime]:
    """(id, type, what it says, created at). Of a file it says the name in two spellings."""
    params = item.get("params") or Wild({})
    said = tuple(params.text_at(name) for name in ("text", "original_name", "file_name"))
    return item["id"].id(), item["note_type"].text(), said, item["created_at"].unix()


def _task_facts(item: Wild) -> tuple[str, str | None, str, datetime, str | None]:
    return (
        item["id"].id(),
        item.id_at("entity_id"),
        item["text"].text(),
        item["created_at"].unix(),
        item.id_at("responsible_user_id"),
    )


def _id_and_tags(item: Wild) -> tuple[int, tuple[str, ...]]:
    tags = (item.get("_embedded") or Wild({})).get("tags") or Wild(None)
    return item["id"].int(), tuple(tag["name"].text() for tag in tags.each())
