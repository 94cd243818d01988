"""Calls, meetings, letters, messages and notes, from amoCRM's notes, tasks and events. Must not know which
of them count.

- calls, letters, text messages and people's notes are notes of deals, contacts and companies (calls that
  telephony adds through «Звонки» become such notes);
- meetings are tasks of the type «Встреча», whose agreed start is the task's term; one that was closed took
  place when it was closed, as amoCRM's own reports count;
- messages of chats are events; their text is in no answer of the API.
Source: amoCRM developers' docs, pages «События и примечания», «Задачи», «Звонки».
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from connector.crm.amocrm.api import AmoApi, Params, Reader
from connector.crm.amocrm.event_log import Entry, EventLog, of_types
from connector.crm.amocrm.tasks import AmoTask, Tasks
from connector.crm.amocrm.walks import Row, by_change, chunks
from connector.crm.wild import Wild
from connector.domain import Activity, ActivityKind, Direction

TALK_TYPES = ("call_in", "call_out", "sms_in", "sms_out", "amomail_message")
NOTE_TYPES = (*TALK_TYPES, "common")

MESSAGE_TYPES = {"incoming_chat_message": Direction.IN, "outgoing_chat_message": Direction.OUT}

#: The status of a call that was a talk; the others say why there was none.
TALKED = 4

#: What a manager writes as the result of a meeting that did not take place: amoCRM has no mark for it.
_CANCELLED = re.compile(r"отмен|не состоял|не приш|не приех|перен[её]с|cancel", re.IGNORECASE)

COLLECTIONS = ("leads", "contacts", "companies")

#: Ids in one address, which servers cut at 8 KB.
IDS_AT_ONCE = 100


class Activities:
    """Reads the activities of one account. `meeting_types`: ids of the task types that are meetings; `notes`:
    whether people's notes are wanted too."""

    def __init__(
        self,
        api: AmoApi,
        log: EventLog,
        tasks: Tasks,
        meeting_types: frozenset[int],
        *,
        notes: bool = True,
    ) -> None:
        self._api = api
        self._note_types = NOTE_TYPES if notes else TALK_TYPES
        self._log = log
        self._tasks = tasks
        self._meetings: Params = [("filter[task_type][]", kind) for kind in sorted(meeting_types)]
        self._meeting_types = meeting_types

    def changed(self, since: datetime | None) -> Iterator[Activity]:
        """Activities made or changed at or after `since`, or all of them, oldest change first."""
        notes = [self._notes(name, name, since) for name in COLLECTIONS]
        meetings = (
            _meeting(row) for row in self._tasks.changed(since, self._meetings) if self._is_meeting(row)
        )
        messages = _messages(self._log.entries(since, of_types([*MESSAGE_TYPES])))
        for row in heapq.merge(*notes, meetings, messages, key=lambda row: row.at):
            yield row.thing

    def of_deal(self, deal_id: str, since: datetime | None) -> Iterator[Activity]:
        """Activities of one deal, its contacts and its company, oldest change first."""
        people = self._api.one(f"leads/{deal_id}", _people, [("with", "contacts")])
        if people is None:
            return
        about = [("leads", deal_id), *people]
        notes = [self._notes(f"{name}/{one}", name, since) for name, one in about]
        meetings = sorted(
            (
                _meeting(row)
                for name, one in about
                for row in self._tasks.about(name, one, since, self._meetings)
                if self._is_meeting(row)
            ),
            key=lambda row: row.at,
        )
        messages = self._messages_of(deal_id, [one for name, one in people if name == "contacts"], since)
        for row in heapq.merge(*notes, meetings, messages, key=lambda row: row.at):
            yield row.thing

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids of activities and tasks that are there; messages of chats never go."""
        notes = [one.removeprefix("note:") for one in ids if one.startswith("note:")]
        tasks = {one: one.removeprefix("task:") for one in ids if one.isdigit() or one.startswith("task:")}
        there = {one for one in ids if not one.startswith("note:") and one not in tasks}
        for some in chunks(notes, IDS_AT_ONCE):
            chosen: Params = [("filter[id][]", one) for one in some]
            for name in COLLECTIONS:
                there.update(self._api.pages(f"{name}/notes", "notes", _note_id, chosen))
        left = self._tasks.existing(sorted(set(tasks.values()), key=int))
        return there | {one for one, number in tasks.items() if number in left}

    def _notes(self, path: str, collection: str, since: datetime | None) -> Iterator[Row[Activity]]:
        params: Params = [("filter[note_type][]", kind) for kind in self._note_types]
        found = by_change(self._api, f"{path}/notes", "notes", _reader(collection), params, since)
        # A filter that is not understood gives notes of other types too; they are none of ours.
        return (Row(row.at, row.id, row.thing) for row in found if row.thing is not None)

    def _messages_of(
        self, deal_id: str, contact_ids: list[str], since: datetime | None
    ) -> Iterator[Row[Activity]]:
        """A chat's messages are filtered by its contact, though their rows name the deal."""
        found = self._log.of("lead", [deal_id], [*MESSAGE_TYPES], since)
        found += self._log.of("contact", contact_ids, [*MESSAGE_TYPES], since)
        mine = [entry for entry in found if entry.entity_type != "lead" or entry.entity_id == deal_id]
        return _messages(iter(sorted(mine, key=lambda entry: entry.order)))

    def _is_meeting(self, row: Row[AmoTask]) -> bool:
        return row.thing.type_id in self._meeting_types


def _note_id(item: Wild) -> str:
    return f"note:{item['id'].id()}"


def _reader(collection: str) -> Reader[Row[Activity | None]]:
    def read(item: Wild) -> Row[Activity | None]:
        return Row(item["updated_at"].unix(), item["id"].id(), _note(item, collection))

    return read


def _note(item: Wild, collection: str) -> Activity | None:
    """A note of one of `NOTE_TYPES`; None for another."""
    kind = item["note_type"].text()
    params = item.get("params") or Wild({})
    at = item["created_at"].unix()
    author = item.id_at("created_by") or item.id_at("responsible_user_id")
    entity_id = item["entity_id"].id()
    base = Activity(
        id=f"note:{item['id'].id()}",
        kind=ActivityKind.NOTE,
        created_at=at,
        updated_at=item["updated_at"].unix(),
        deal_ids=(entity_id,) if collection == "leads" else (),
        contact_ids=(entity_id,) if collection == "contacts" else (),
        company_ids=(entity_id,) if collection == "companies" else (),
        responsible_id=author,
        happened_at=at,
        text=params.text_at("text"),
    )
    if kind in ("call_in", "call_out"):
        return replace(
            base,
            kind=ActivityKind.CALL,
            direction=_direction(kind),
            responsible_id=_caller(params) or item.id_at("responsible_user_id") or author,
            answered=_answered(params),
            duration_s=_whole(params, "duration"),
            text=params.text_at("call_result"),
        )
    if kind in ("sms_in", "sms_out"):
        return replace(base, kind=ActivityKind.MESSAGE, direction=_direction(kind))
    if kind == "amomail_message":
        income = params.get("income")
        text = "\n".join(filter(None, (params.text_at("subject"), params.text_at("content_summary"))))
        direction = Direction.IN if income is not None and income.flag() else Direction.OUT
        return replace(base, kind=ActivityKind.EMAIL, direction=direction, text=text)
    return base if kind == "common" else None


def _direction(note_type: str) -> Direction:
    return Direction.IN if note_type.endswith("_in") else Direction.OUT


def _caller(params: Wild) -> str | None:
    """Who spoke: telephony writes a user's id as a number, a name or an inside number as a text."""
    person = params.get("call_responsible")
    return params.id_at("call_responsible") if person is not None and isinstance(person.value, int) else None


def _answered(params: Wild) -> bool | None:
    """By the call's status, else by its length; None where telephony tells neither."""
    status, duration = _whole(params, "call_status"), _whole(params, "duration")
    if status:
        return status == TALKED
    return None if duration is None else duration > 0


def _whole(params: Wild, name: str) -> int | None:
    text = params.text_at(name)
    return int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else None


def _meeting(row: Row[AmoTask]) -> Row[Activity]:
    task = row.thing
    is_cancelled = task.completed_at is not None and bool(_CANCELLED.search(task.result))
    entity_id = (task.entity_id,) if task.entity_id is not None else ()
    meeting = Activity(
        id=f"task:{task.id}",
        kind=ActivityKind.MEETING,
        created_at=task.created_at,
        updated_at=task.updated_at,
        deal_ids=entity_id if task.entity_type == "leads" else (),
        contact_ids=entity_id if task.entity_type == "contacts" else (),
        company_ids=entity_id if task.entity_type == "companies" else (),
        responsible_id=task.responsible_id,
        planned_at=task.due_at,
        happened_at=None if is_cancelled else task.completed_at,
        is_cancelled=is_cancelled,
        text="\n".join(filter(None, (task.text, task.result))),
    )
    return Row(row.at, row.id, meeting)


def _messages(entries: Iterator[Entry]) -> Iterator[Row[Activity]]:
    """Messages of chats. One that is told of a deal and of its contact is one message: told together, both
    within a second, it comes once with both."""
    waiting: dict[str, Row[Activity]] = {}
    for entry in entries:
        for key, row in list(waiting.items()):
            if row.at < entry.at:
                yield waiting.pop(key)
        row = _message(entry)
        known = waiting.get(row.id)
        waiting[row.id] = row if known is None else Row(row.at, row.id, _together(known.thing, row.thing))
    yield from waiting.values()


def _together(one: Activity, other: Activity) -> Activity:
    return replace(
        one,
        deal_ids=tuple(dict.fromkeys((*one.deal_ids, *other.deal_ids))),
        contact_ids=tuple(dict.fromkeys((*one.contact_ids, *other.contact_ids))),
    )


def _message(entry: Entry) -> Row[Activity]:
    said = (entry.after.get(0) or Wild({})).get("message") or Wild({})
    own_id = said.text_at("id") or entry.id
    direction = MESSAGE_TYPES[entry.type]
    contacts = [entry.contact_id, entry.entity_id if entry.entity_type == "contact" else None]
    message = Activity(
        id=f"message:{own_id}",
        kind=ActivityKind.MESSAGE,
        created_at=entry.at,
        updated_at=entry.at,
        deal_ids=(entry.entity_id,) if entry.entity_type == "lead" else (),
        contact_ids=tuple(dict.fromkeys(filter(None, contacts))),
        company_ids=(entry.entity_id,) if entry.entity_type == "company" else (),
        responsible_id=entry.by if direction is Direction.OUT else None,
        direction=direction,
        happened_at=entry.at,
    )
    return Row(entry.at, own_id, message)


def _people(lead: Wild) -> list[tuple[str, str]]:
    """(collection, id) of the deal's contacts and company."""
    embedded = lead.get("_embedded") or Wild({})
    return [
        (name, link["id"].id())
        for name in ("contacts", "companies")
        for link in (embedded.get(name) or Wild(None)).each()
    ]
