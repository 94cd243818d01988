"""The event log and `/api/v4/events`: stage moves from the portal's history, the rest from its changes.

Ids look like ULIDs and are the same however often they are read. Source: reference 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.sandbox.amocrm import filters
from connector.sandbox.amocrm.event_facts import Fact, facts
from connector.sandbox.amocrm.event_types import TYPES
from connector.sandbox.amocrm.lists import page_reply
from connector.sandbox.amocrm.people import full_name
from connector.sandbox.amocrm.request import Call, integers, strings
from connector.sandbox.amocrm.wire import (
    Reply,
    Violation,
    hal,
    invalid,
    no_content,
    unix,
)
from connector.sandbox.amocrm.world import Route, World
from connector.sandbox.state import Change, HistoryRow
from connector.sandbox.table import Log

PATH = "/api/v4/events"
MAX_LIMIT, TOO_MANY = 100, 50
MAX_FILTER_IDS = 10
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_COLLECTIONS = {
    "lead": "leads",
    "contact": "contacts",
    "company": "companies",
    "task": "tasks",
    "customer": "customers",
}
_FIELD_TYPE = re.compile(r"custom_field_[0-9]+_value_changed")


@dataclass(frozen=True, slots=True)
class Event:
    """`tail` tells events of one moment apart and orders them."""

    tail: int
    fact: Fact
    at: datetime
    by: int

    @property
    def id(self) -> str:
        # Made when it is read: a long past has more events than anybody asks for.
        return ulid(self.at, self.tail)


def ulid(at: datetime, tail: int) -> str:
    """26 lower-case characters that sort by time, then by `tail`."""
    number = (int(at.timestamp() * 1000) << 80) | tail
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def _tail_of(event_id: str) -> int | None:
    """The `tail` behind an id made by `ulid`; None for any other text."""
    if len(event_id) != 26 or not set(event_id) <= set(_CROCKFORD):
        return None
    number = 0
    for character in event_id:
        number = number << 5 | _CROCKFORD.index(character)
    return number & ((1 << 80) - 1)


class EventLog:
    """All events of the account, the newest first."""

    #: Made anew from the history and what was heard.
    NOT_KEPT = frozenset({"_events", "_from_history", "_from_heard", "_is_sorted"})

    def __init__(self, world: World) -> None:
        self._world = world
        self._from_history = 0
        self._from_heard = 0
        self._number = 0
        self._heard: Log[Event] = Log()
        self._events: list[Event] = []
        self._is_sorted = True
        world.portal.listen(self._hear)

    def all(self) -> list[Event]:
        with self._world.portal.lock:
            self._read_history()
            if not self._is_sorted:
                self._events.sort(key=lambda e: (e.at, e.tail), reverse=True)
                self._is_sorted = True
            return list(self._events)

    def _read_history(self) -> None:
        history = self._world.portal.history
        for row in history[self._from_history :]:
            fact = _creation(row) if row.from_stage is None else _move(row)
            self._events.append(Event(row.id, fact, row.at, row.by))
            self._is_sorted = False
        self._from_history = len(history)
        fresh = self._heard[self._from_heard :]
        if fresh:
            self._events += fresh
            self._from_heard += len(fresh)
            self._is_sorted = False

    def _hear(self, change: Change) -> None:
        for fact in facts(self._world, change):
            self._put(fact, change.at, change.by)

    def record(
        self,
        type: str,
        entity_type: str,
        entity_id: int,
        *,
        by: int,
        after: Sequence[dict[str, Any]] = (),
        before: Sequence[dict[str, Any]] = (),
        **extra: Any,
    ) -> None:
        """Write an event that no change of the portal stands behind; `extra` are further keys of it."""
        with self._world.portal.lock:
            fact = Fact(type, entity_type, entity_id, tuple(after), tuple(before), extra)
            self._put(fact, self._world.portal.now(), by)
            self._world.portal.revision += 1

    def _put(self, fact: Fact, at: datetime, by: int) -> None:
        self._number += 1
        # The high bit keeps these apart from ids made of history rows.
        self._heard.append(Event((1 << 60) | self._number, fact, at, by))


def _creation(row: HistoryRow) -> Fact:
    return Fact("lead_added", "lead", row.deal_id, ({"note": {"id": 40_000_000 + row.id}},), ())


def _move(row: HistoryRow) -> Fact:
    def side(pipeline_id: int | None, stage: str | None) -> tuple[dict[str, Any], ...]:
        return ({"lead_status": {"id": int(stage or 0), "pipeline_id": pipeline_id}},)

    return Fact(
        "lead_status_changed",
        "lead",
        row.deal_id,
        side(row.to_pipeline_id, row.to_stage),
        side(row.from_pipeline_id, row.from_stage),
    )


def routes(log: EventLog) -> list[Route]:
    """List, one, and the list of types."""
    api = _Events(log)
    return [
        Route("GET", PATH, api.listing),
        Route("GET", f"{PATH}/types", api.types),
        Route("GET", f"{PATH}/<event_id>", api.one),
    ]


class _Events:
    def __init__(self, log: EventLog) -> None:
        self._log = log

    def listing(self, world: World, call: Call) -> Reply:
        wanted = call.filter
        _check(wanted)
        rows = world.found(call, lambda: filters.apply(self._log.all(), wanted, _makers()))
        return page_reply(
            call,
            world.base_url,
            "events",
            rows,
            lambda e: _model(world, e, call.with_),
            maximum=MAX_LIMIT,
            too_many=TOO_MANY,
        )

    def one(self, world: World, call: Call, event_id: str) -> Reply:
        tail = _tail_of(event_id)
        found = next((e for e in self._log.all() if e.tail == tail and e.id == event_id), None)
        return no_content() if found is None else hal(_model(world, found, call.with_))

    def types(self, world: World, call: Call) -> Reply:
        rows = [{"key": key, "type": index, "lang": title} for index, (key, title) in enumerate(TYPES, 1)]
        links = world.link(f"{PATH}/types")
        return hal({"_total_items": len(rows), "_links": links, "_embedded": {"events_types": rows}})


def _check(wanted: dict[str, Any]) -> None:
    found = [
        Violation("TooMany", f"filter.{key}", "This collection should contain 10 elements or less.")
        for key in ("created_by", "entity_id")
        if len(strings(wanted.get(key))) > MAX_FILTER_IDS
    ]
    if "entity_id" in wanted and len(strings(wanted.get("entity"))) != 1:
        found.append(Violation("NotBlank", "filter.entity", "Exactly one entity is required."))
    types = strings(wanted.get("type"))
    if len(types) > 1 and any(_FIELD_TYPE.fullmatch(name) for name in types):
        found.append(Violation("NotSupportedChoice", "filter.type", "This type cannot be combined."))
    if found:
        raise invalid({"0": found})


def _makers() -> dict[str, filters.Maker]:
    return {
        "id": filters.word(lambda e: e.id),
        "created_at": filters.moment(lambda e: unix(e.at), scalar_is_since=True),
        "created_by": filters.number(lambda e: e.by),
        "entity": filters.word(lambda e: e.fact.entity_type),
        "entity_id": filters.number(lambda e: e.fact.entity_id),
        "type": _by_type,
        "value_after": _by_value(lambda fact: fact.after),
        "value_before": _by_value(lambda fact: fact.before),
    }


def _by_type(wanted: Any) -> filters.Predicate:
    names = set(strings(wanted))
    any_field = "custom_field_value_changed" in names
    return lambda e: (
        not names or e.fact.type in names or (any_field and _FIELD_TYPE.fullmatch(e.fact.type) is not None)
    )


def _by_value(side: Callable[[Fact], tuple[dict[str, Any], ...]]) -> filters.Maker:
    """`[leads_statuses][0]…`, `[responsible_user_id]`, `[custom_field_values]`, `[value]`."""

    def make(wanted: Any) -> filters.Predicate:
        parts = wanted if isinstance(wanted, dict) else {}
        pairs = (
            [
                (integers(pair.get("pipeline_id"))[:1], integers(pair.get("status_id"))[:1])
                for pair in (parts.get("leads_statuses") or {}).values()
                if isinstance(pair, dict)
            ]
            if isinstance(parts.get("leads_statuses"), dict)
            else []
        )
        users = set(integers(parts.get("responsible_user_id")))
        enums = set(integers(parts.get("custom_field_values")))
        texts = set(strings(parts.get("value")))

        def test(event: Event) -> bool:
            values = side(event.fact)
            return (
                (not pairs or any(_has_status(value, pairs) for value in values))
                and (not users or any(v.get("responsible_user", {}).get("id") in users for v in values))
                and (
                    not enums or any(v.get("custom_field_value", {}).get("enum_id") in enums for v in values)
                )
                and (not texts or any(_texts(value) & texts for value in values))
            )

        return test

    return make


def _has_status(value: dict[str, Any], pairs: list[tuple[list[int], list[int]]]) -> bool:
    status = value.get("lead_status")
    return status is not None and any(
        (not p or p == [status["pipeline_id"]]) and (not s or s == [status["id"]]) for p, s in pairs
    )


def _texts(value: dict[str, Any]) -> set[str]:
    return {str(leaf) for inner in value.values() if isinstance(inner, dict) for leaf in inner.values()}


def _model(world: World, event: Event, with_: set[str]) -> dict[str, Any]:
    fact = event.fact
    path = _path(fact)
    entity: dict[str, Any] = {"id": fact.entity_id, "_links": world.link(path)}
    named = "catalog_element" if fact.entity_type.startswith("catalog_") else fact.entity_type
    if f"{named}_name" in with_:
        entity["name"] = _name(world, fact)
    return {
        "id": event.id,
        "type": fact.type,
        "entity_id": fact.entity_id,
        "entity_type": fact.entity_type,
        "created_by": event.by,
        "created_at": unix(event.at),
        "value_after": list(fact.after),
        "value_before": list(fact.before),
        "account_id": world.account_id,
        **fact.extra,
        "_links": world.link(f"{PATH}/{event.id}"),
        "_embedded": {"entity": entity},
    }


def _path(fact: Fact) -> str:
    catalog = fact.entity_type.removeprefix("catalog_")
    if catalog != fact.entity_type:
        return f"/api/v4/catalogs/{catalog}/elements/{fact.entity_id}"
    return f"/api/v4/{_COLLECTIONS[fact.entity_type]}/{fact.entity_id}"


def _name(world: World, fact: Fact) -> str:
    if fact.entity_type not in _COLLECTIONS:
        element = world.shelf.elements.get(fact.entity_id)
        return element.name if element else ""
    row = world.rows(_COLLECTIONS[fact.entity_type]).get(fact.entity_id)
    if row is None:
        return ""
    return str(row.name) if fact.entity_type == "lead" else full_name(row)
