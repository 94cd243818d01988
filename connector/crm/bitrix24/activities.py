"""Calls, meetings, letters, messages and notes of a portal. Must not know what becomes of them.

`crm.activity.*` has all but notes, which are the timeline's comments. Whether a call was answered, and how
long it took, the telephony's statistics know; without the right to read them a call has neither.
Source: Bitrix24 REST docs, pages «Дела: список», «Привязки дел», «Комментарии таймлайна»,
«voximplant.statistic.get».
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final, TypeVar

from connector.clock import Clock
from connector.crm.bitrix24.api import BATCH, PAGE, B24Api, Params
from connector.crm.bitrix24.changes import ChangeList, Names
from connector.crm.bitrix24.listing import LongList
from connector.crm.bitrix24.wire import COMPANY, CONTACT, DEAL
from connector.crm.wild import Wild
from connector.domain import Activity, ActivityKind, Direction
from connector.errors import CrmError

T = TypeVar("T")

LIST: Final = "crm.activity.list"
COMMENTS: Final = "crm.timeline.comment.list"
CALLS: Final = "voximplant.statistic.get"
BINDINGS: Final = "crm.activity.binding.list"

NAMES: Final = Names(place=(), id="ID", changed="LAST_UPDATED", row_id="ID", row_changed="LAST_UPDATED")
SELECT: Final = (
    *("ID", "OWNER_ID", "OWNER_TYPE_ID", "TYPE_ID", "PROVIDER_ID", "SUBJECT", "DESCRIPTION", "CREATED"),
    *("LAST_UPDATED", "START_TIME", "END_TIME", "DEADLINE", "COMPLETED", "RESPONSIBLE_ID", "DIRECTION"),
    "COMMUNICATIONS",
)

#: TYPE_ID; everything newer is 6 and told by its provider.
_TYPES: Final = {"1": ActivityKind.MEETING, "2": ActivityKind.CALL, "4": ActivityKind.EMAIL}
#: Providers of type 6 that reach a client; the beginning of the name is enough.
_PROVIDERS: Final = {
    "IMOPENLINES": ActivityKind.MESSAGE,
    "CRM_SMS": ActivityKind.MESSAGE,
    "CRM_WHATSAPP": ActivityKind.MESSAGE,
    "CRM_NOTIFICATION": ActivityKind.MESSAGE,
    "CRM_MEETING": ActivityKind.MEETING,
    "CRM_CALL": ActivityKind.CALL,
    "VOXIMPLANT_CALL": ActivityKind.CALL,
    "CRM_EMAIL": ActivityKind.EMAIL,
}
_DIRECTIONS: Final = {"1": Direction.IN, "2": Direction.OUT}

#: How a manager begins the name or the description of a meeting that did not take place: the portal has no
#: mark for it.
_CANCELLED: Final = re.compile(
    r"\W*((встреча|клиент)\s+)?(отмен|не\s+состоял|не\s+приш|не\s+приех|перен[её]с|cancel)", re.IGNORECASE
)

#: The telephony enters calls by itself; a call that a person wrote down has another provider.
_TELEPHONY: Final = "VOXIMPLANT_CALL"
_ANSWERED: Final = "200"


@dataclass(frozen=True, slots=True)
class _Entry:
    """An activity as it is listed, before its bindings and its call are known."""

    id: str
    activity: Activity
    is_telephony: bool
    is_completed: bool
    starts_at: datetime | None
    agreed_at: datetime | None
    is_cancelled: bool


@dataclass(frozen=True, slots=True)
class _CallRecord:
    at: datetime | None
    duration_s: int
    is_answered: bool


class Activities:
    """Reads of one portal's activities."""

    def __init__(self, api: B24Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._may_read_calls = True

    def read(self, since: datetime | None, deal_id: str | None, *, brief: bool = False) -> Iterator[Activity]:
        """Those that changed at or after `since`, oldest change first; then the notes, deal by deal."""
        for some in _chunks((entry for _, entry in self._listed(since, deal_id) if entry is not None), BATCH):
            for activity in self._completed(some, brief=brief):
                if deal_id is None or deal_id in activity.deal_ids:
                    yield activity
        if brief:
            return
        deal_ids = [deal_id] if deal_id is not None else self._touched_deals(since)
        for some_deals in _chunks(deal_ids, BATCH):
            yield from self._notes(some_deals, since)

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids of activities, to-dos and tasks that the portal still has; comments are taken
        for there."""
        of_crm = {one: one.partition(":")[2] for one in ids if one.startswith(("activity:", "todo:"))}
        of_module = [one for one in ids if one.isdigit()]
        there = set(ids) - of_crm.keys() - set(of_module)
        activities = self._with_ids(LIST, "ID", [*of_crm.values()])
        there |= {one for one, number in of_crm.items() if number in activities}
        return there | self._with_ids("tasks.task.list", "id", of_module, "tasks")

    def _with_ids(self, method: str, key: str, ids: Sequence[str], *place: str) -> set[str]:
        def read(result: Wild) -> set[str]:
            for step in place:
                result = result[step]
            return {item[key].id() for item in result.each()}

        commands: dict[str, tuple[str, Params]] = {
            f"page{start}": (
                method,
                {
                    "filter": {"ID": [int(one) for one in ids[start : start + PAGE]]},
                    "select": ["ID"],
                    "order": {"ID": "ASC"},
                },
            )
            for start in range(0, len(ids), PAGE)
        }
        there: set[str] = set()
        for some in _chunks(commands.items(), BATCH):
            answers = self._api.batch(dict(some))
            for name, _ in some:
                there |= answers.read(name, read)
        # A list that does not know the filter gives all it has.
        return there & set(ids)

    def _listed(
        self, since: datetime | None, deal_id: str | None
    ) -> Iterator[tuple[datetime, _Entry | None]]:
        # Classic lists ignore a filter that they do not know, so whose activity it is is looked at again.
        filters = {} if deal_id is None else {"BINDINGS": [{"OWNER_TYPE_ID": DEAL, "OWNER_ID": int(deal_id)}]}
        params: Params = {"filter": filters, "select": list(SELECT)}
        return ChangeList(self._api, LIST, params, NAMES, _read_entry).since(since)

    def _completed(self, entries: list[_Entry], *, brief: bool) -> Iterator[Activity]:
        """With all that they are bound to, and what the telephony says of calls; two requests for 50."""
        unbound = [entry for entry in entries if not entry.activity.deal_ids] if brief else entries
        bindings = self._bindings(unbound) if unbound else {}
        calls = self._calls([entry.id for entry in entries if entry.activity.kind is ActivityKind.CALL])
        for entry in entries:
            activity = _bound(entry.activity, bindings.get(entry.id, ()))
            yield _with_time(entry, activity, calls.get(entry.id))

    def _bindings(self, entries: list[_Entry]) -> dict[str, list[tuple[int, str]]]:
        commands = {f"activity{entry.id}": (BINDINGS, {"activityId": int(entry.id)}) for entry in entries}
        answers = self._api.batch(commands)
        return {entry.id: answers.find(f"activity{entry.id}", _read_bindings) or [] for entry in entries}

    def _calls(self, activity_ids: list[str]) -> dict[str, _CallRecord]:
        """By activity; of several rows for one (a redirected call) the one that was answered, else the
        longest."""
        if not activity_ids or not self._may_read_calls:
            return {}
        params = {
            "FILTER": {"CRM_ACTIVITY_ID": [int(one) for one in activity_ids]},
            "SORT": "ID",
            "ORDER": "ASC",
        }
        found: dict[str, _CallRecord] = {}
        try:
            for activity_id, record in self._api.offset(CALLS, params, lambda rows: rows, _read_call):
                known = found.get(activity_id)
                if known is None or _rank(record) > _rank(known):
                    found[activity_id] = record
        except CrmError as error:
            if error.kind != "config":
                raise
            self._may_read_calls = False
        return found

    def _touched_deals(self, since: datetime | None) -> Iterator[str]:
        """Deals that a note may hang on: a comment moves the deal's last activity, not always its change."""
        filters: Mapping[str, object] = {}
        if since is not None:
            told = since.isoformat()
            filters = {"0": {"logic": "OR", "0": {">=updatedTime": told}, "1": {">=lastActivityTime": told}}}
        params = {"entityTypeId": DEAL, "select": ["id"], "filter": filters}
        return LongList(
            self._api, self._clock, "crm.item.list", params, lambda item: item["id"].id(), key="id"
        ).rows()

    def _notes(self, deal_ids: list[str], since: datetime | None) -> Iterator[Activity]:
        """Comments can be asked for deal by deal only; 50 deals go in one request."""
        commands: dict[str, tuple[str, Params]] = {
            f"deal{one}": (COMMENTS, _comments_of(one)) for one in deal_ids
        }
        answers = self._api.batch(commands)
        for one in deal_ids:
            found = answers.find(f"deal{one}", lambda rows: [_read_note(row) for row in rows.each()]) or []
            if len(found) >= PAGE:
                found = list(self._api.offset(COMMENTS, _comments_of(one), lambda rows: rows, _read_note))
            for note in found:
                if since is None or note.created_at >= since:
                    yield replace(note, deal_ids=(one,))


def kind_of(item: Wild) -> ActivityKind | None:
    """What an activity is; None for to-dos, tasks and the portal's own remarks."""
    provider = item.text_at("PROVIDER_ID")
    by_type = _TYPES.get(item.text_at("TYPE_ID"))
    return by_type or next((kind for name, kind in _PROVIDERS.items() if provider.startswith(name)), None)


def moment_at(item: Wild, name: str) -> datetime | None:
    """The time in that field; None where it is empty."""
    return item[name].iso() if item.text_at(name) else None


def _read_entry(item: Wild) -> _Entry | None:
    kind = kind_of(item)
    if kind is None:
        return None
    owner = (item["OWNER_TYPE_ID"].int(), item["OWNER_ID"].id())
    people = [
        (part["ENTITY_TYPE_ID"].int(), part["ENTITY_ID"].id())
        for part in (item.get("COMMUNICATIONS") or Wild(None)).each()
        if part.text_at("ENTITY_TYPE_ID") and part.id_at("ENTITY_ID")
    ]
    completed = item.get("COMPLETED")
    activity = Activity(
        id=f"activity:{item['ID'].id()}",
        kind=kind,
        created_at=item["CREATED"].iso(),
        updated_at=item["LAST_UPDATED"].iso(),
        responsible_id=item.id_at("RESPONSIBLE_ID"),
        direction=_DIRECTIONS.get(item.text_at("DIRECTION")),
        text="\n".join(filter(None, (item.text_at("SUBJECT"), item.text_at("DESCRIPTION")))),
    )
    return _Entry(
        item["ID"].id(),
        _bound(activity, [owner, *people]),
        is_telephony=item.text_at("PROVIDER_ID") == _TELEPHONY,
        is_completed=completed is not None and completed.flag(),
        starts_at=moment_at(item, "START_TIME"),
        agreed_at=moment_at(item, "DEADLINE"),
        is_cancelled=any(_CANCELLED.match(line) for line in activity.text.splitlines()),
    )


def _with_time(entry: _Entry, activity: Activity, call: _CallRecord | None) -> Activity:
    """When it took place. A missed call waits uncompleted and has happened; a meeting that nobody completed
    has not, nor one that was completed as cancelled; a letter to a client that is not completed was never
    sent."""
    is_meeting = activity.kind is ActivityKind.MEETING
    is_cancelled = is_meeting and entry.is_completed and entry.is_cancelled
    has_happened = not is_cancelled and (
        entry.is_completed
        or activity.kind is ActivityKind.MESSAGE
        or (activity.kind is ActivityKind.EMAIL and activity.direction is Direction.IN)
        or (activity.kind is ActivityKind.CALL and (entry.is_telephony or call is not None))
    )
    at = (call.at if call is not None else None) or entry.starts_at or activity.created_at
    return replace(
        activity,
        # A meeting's start is moved to when it took place; what was agreed stays its deadline.
        planned_at=((entry.agreed_at if entry.is_completed else None) or entry.starts_at)
        if is_meeting
        else None,
        happened_at=at if has_happened else None,
        is_cancelled=is_cancelled,
        answered=call.is_answered if call is not None else None,
        duration_s=call.duration_s if call is not None else None,
    )


def _bound(activity: Activity, owners: Iterable[tuple[int, str]]) -> Activity:
    """`activity` belongs to these too, in their order and each once."""
    found: dict[int, dict[str, None]] = {
        DEAL: dict.fromkeys(activity.deal_ids),
        CONTACT: dict.fromkeys(activity.contact_ids),
        COMPANY: dict.fromkeys(activity.company_ids),
    }
    for entity_type, entity_id in owners:
        if entity_type in found:
            found[entity_type][entity_id] = None
    return replace(
        activity,
        deal_ids=tuple(found[DEAL]),
        contact_ids=tuple(found[CONTACT]),
        company_ids=tuple(found[COMPANY]),
    )


def _read_bindings(rows: Wild) -> list[tuple[int, str]]:
    return [(row["entityTypeId"].int(), row["entityId"].id()) for row in rows.each()]


def _read_call(row: Wild) -> tuple[str, _CallRecord]:
    started = row.get("CALL_START_DATE")
    # PHP dates leak as {} at times.
    at = started.iso() if started is not None and not started.is_map and started.value != [] else None
    duration = row.text_at("CALL_DURATION")
    record = _CallRecord(
        at, int(duration) if duration.isdigit() else 0, row.text_at("CALL_FAILED_CODE") == _ANSWERED
    )
    return row.text_at("CRM_ACTIVITY_ID"), record


def _rank(record: _CallRecord) -> tuple[bool, int]:
    return record.is_answered, record.duration_s


def _comments_of(deal_id: str) -> Params:
    return {
        "filter": {"ENTITY_ID": int(deal_id), "ENTITY_TYPE": "deal"},
        "order": {"ID": "ASC"},
        "select": ["ID", "COMMENT", "CREATED", "AUTHOR_ID"],
    }


def _read_note(item: Wild) -> Activity:
    created_at = item["CREATED"].iso()
    return Activity(
        id=f"comment:{item['ID'].id()}",
        kind=ActivityKind.NOTE,
        created_at=created_at,
        updated_at=created_at,
        responsible_id=item.id_at("AUTHOR_ID"),
        happened_at=created_at,
        text=item.text_at("COMMENT"),
    )


def _chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk
