"""The queue server: turns changes into event bodies and posts them, once each, some time later.

Source: reference section 5. An outgoing webhook hears ids only and never of a pipeline change; an
application hears both, with a token unless the change was the system's own.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

import requests

from connector.sandbox.bitrix24.event_names import APP_ONLY_EVENTS, EVENTS
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.state import Change, Requisites

log = logging.getLogger(__name__)

Pairs = list[tuple[str, str]]

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Binding:
    """A handler of one event. `user_id` 0: the acting user's token goes along."""

    id: int
    kind: Literal["webhook", "app"]
    event: str
    url: str
    user_id: int = 0


@dataclass(frozen=True, slots=True)
class OfflineBinding:
    event: str
    connector: str


@dataclass(frozen=True, slots=True)
class Notice:
    """An event before it is addressed to anybody. `data` is nested as it will be in the form."""

    event: str
    data: Mapping[str, Any]
    by: int
    system: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """One body on its way to one handler; the time of sending is added when it leaves."""

    url: str
    notice: Notice
    binding: Binding


class EventQueue:
    """Bindings and what waits to be sent. Everything is public to tests through `pending` and `flush`."""

    NOT_KEPT = frozenset({"_stopping"})

    def __init__(self, site: Site) -> None:
        self._site = site
        self._condition = threading.Condition()
        self._bindings: dict[int, Binding] = {}
        self._offline: set[OfflineBinding] = set()
        self._heap: list[tuple[datetime, int, Delivery]] = []
        self._order = itertools.count()
        self._ids = itertools.count(101)
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._session = requests.Session()
        self._session.trust_env = False
        site.portal.clock.on_move(self._look_again)

    # Bindings

    def add_outgoing_webhook(self, url: str, events: Sequence[str]) -> int:
        """Bind `url` to the events under one handler id; ValueError for one that is not on offer."""
        names = [event.upper() for event in events]
        wrong = [name for name in names if name not in EVENTS or name in APP_ONLY_EVENTS]
        if wrong:
            raise ValueError(f"an outgoing webhook cannot hear {', '.join(wrong)}")
        handler_id = next(self._ids)
        with self._condition:
            for name in names:
                self._bindings[next(self._ids)] = Binding(handler_id, "webhook", name, url)
        return handler_id

    def bind(self, event: str, url: str, user_id: int) -> bool:
        """Bind an application's handler; False when that very binding is there."""
        with self._condition:
            if any(
                b.kind == "app" and (b.event, b.url, b.user_id) == (event, url, user_id)
                for b in self.online()
            ):
                return False
            number = next(self._ids)
            self._bindings[number] = Binding(number, "app", event, url, user_id)
            return True

    def bind_offline(self, event: str, connector: str) -> bool:
        binding = OfflineBinding(event, connector)
        with self._condition:
            if binding in self._offline:
                return False
            self._offline.add(binding)
            return True

    def unbind(self, event: str, url: str, user_id: int | None) -> int:
        """Remove the application's handlers that match; how many there were."""
        with self._condition:
            gone = [
                number
                for number, b in self._bindings.items()
                if b.kind == "app" and (b.event, b.url) == (event, url) and user_id in (None, b.user_id)
            ]
            for number in gone:
                del self._bindings[number]
            return len(gone)

    def unbind_offline(self, event: str, connector: str) -> int:
        with self._condition:
            binding = OfflineBinding(event, connector)
            found = binding in self._offline
            self._offline.discard(binding)
            return int(found)

    def online(self) -> list[Binding]:
        with self._condition:
            return list(self._bindings.values())

    def offline(self) -> list[OfflineBinding]:
        with self._condition:
            return sorted(self._offline, key=lambda b: (b.event, b.connector))

    # What happens

    def hear(self, change: Change) -> None:
        """Listener of the portal: only queues."""
        for event, data in events_of(self._site, change):
            self.tell(Notice(event, data, change.by, change.system))

    def tell(self, notice: Notice) -> None:
        """Queue an event for all who are bound to it."""
        for offline in self.offline():
            if offline.event == notice.event and (
                not offline.connector or offline.connector != self._site.acting_connector
            ):
                self._site.offline.put(notice.event, notice.data, notice.by, offline.connector)
                self._queue(Notice("ONOFFLINEEVENT", {}, notice.by, notice.system))
        self._queue(notice)

    def _queue(self, notice: Notice) -> None:
        faults = self._site.faults
        for binding in self.online():
            if binding.event != notice.event:
                continue
            delivery = Delivery(binding.url, notice, binding)
            for wait_s in faults.deliveries("bitrix24", self._site.member_id, notice.event):
                wait = timedelta(seconds=self._site.switches.event_delay_s + wait_s)
                due = self._site.portal.clock.now() + wait
                with self._condition:
                    heapq.heappush(self._heap, (due, next(self._order), delivery))
                    self._condition.notify_all()

    # Sending

    def start(self) -> None:
        with self._condition:
            if self._thread is None:
                self._stopping = False
                self._thread = threading.Thread(target=self._loop, name="bitrix24-events", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        with self._condition:
            thread, self._thread = self._thread, None
            self._stopping = True
            self._heap.clear()
            self._condition.notify_all()
        if thread is not None:
            thread.join(timeout=self._site.switches.event_timeout_s + 1)

    def pending(self) -> list[Delivery]:
        """What waits, in the order in which it will leave."""
        with self._condition:
            return [delivery for _, _, delivery in sorted(self._heap, key=lambda entry: entry[:2])]

    def _loop(self) -> None:
        while True:
            with self._condition:
                while not self._stopping and (wait := self._wait_s()) != 0:
                    self._condition.wait(wait)
                if self._stopping:
                    return
                delivery = heapq.heappop(self._heap)[2]
            self.send(delivery)

    def _wait_s(self) -> float | None:
        """Seconds until something is due, 0 when it is; None when nothing waits."""
        if not self._heap:
            return None
        return max(0.0, (self._heap[0][0] - self._site.portal.clock.now()).total_seconds())

    def _look_again(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def send(self, delivery: Delivery) -> None:
        """Post one body. No answer or an error status is logged and the event is lost."""
        event, body, status = delivery.notice.event, urlencode(self.body(delivery)).encode(), 0
        try:
            answer = self._session.post(
                delivery.url,
                data=body,
                headers=_FORM,
                timeout=self._site.switches.event_timeout_s,
                allow_redirects=False,
            )
            status = answer.status_code
        except requests.RequestException as error:
            log.warning("%s is lost: %s", event, type(error).__name__)
        if status >= 400:
            log.warning("%s is lost: the handler answered %s", event, status)
        self._site.faults.sent.add("bitrix24", event, delivery.url, body, _FORM, status)

    def body(self, delivery: Delivery) -> Pairs:
        """The form as it leaves now: event, handler, data, ts, auth."""
        notice, binding, site = delivery.notice, delivery.binding, self._site
        pairs: Pairs = [("event", notice.event), ("event_handler_id", str(binding.id))]
        pairs += flatten("data", notice.data)
        pairs.append(("ts", str(int(site.clock.now().timestamp()))))
        common = {
            "domain": site.host,
            "client_endpoint": site.rest_url,
            "server_endpoint": site.rest_url,
            "member_id": site.member_id,
            "application_token": site.application_token,
        }
        if binding.kind == "webhook" or notice.system:
            return pairs + flatten("auth", common)
        user_id = binding.user_id or notice.by
        token, expires_at = site.oauth.event_token(user_id)
        auth = {
            "access_token": token,
            "expires": str(int(expires_at.timestamp())),
            "expires_in": "3600",
            "scope": ",".join(site.oauth.scopes),
            "status": "L",
            "user_id": str(user_id),
        }
        if notice.event == "ONOFFLINEEVENT":
            auth["refresh_token"] = site.oauth.new_refresh_token(user_id)
        return pairs + flatten("auth", {**auth, **common})


def flatten(name: str, value: Any) -> Pairs:
    """PHP's form keys: `data[FIELDS][ID]`."""
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in flatten(f"{name}[{key}]", item)]
    return [(name, str(value))]


def events_of(site: Site, change: Change) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and data of the events that a change raises."""
    fields: dict[str, Any] = {"ID": change.entity_id}
    verb = {"add": "ADD", "update": "UPDATE", "delete": "DELETE"}[change.action]
    if change.entity == "task":
        yield _task_event(verb, change)
    elif change.entity == "note":
        if (change.after or change.before).kind in {"common", "attachment"}:
            yield f"ONCRMTIMELINECOMMENT{verb}", {"ID": change.entity_id}
    elif change.entity == "deal" and "pipeline_id" in change.fields:
        # A change of pipeline comes as this event and not as an update.
        fields |= {"CATEGORY_ID": change.after.pipeline_id, "STAGE_ID": change.after.stage}
        yield "ONCRMDEALMOVETOCATEGORY", {"FIELDS": fields}
    elif change.entity == "company" and change.fields == ("requisites",):
        yield from _requisite_events(site, change)
    elif not (change.fields == ("rows",) and not site.switches.rows_raise_deal_update):
        yield f"ONCRM{change.entity.upper()}{verb}", {"FIELDS": fields}


def _task_event(verb: str, change: Change) -> tuple[str, Mapping[str, Any]]:
    fields = {"ID": change.entity_id}
    # «undefined» is what the portal really writes here.
    if verb == "ADD":
        access = {"IS_ACCESSIBLE_BEFORE": "N", "IS_ACCESSIBLE_AFTER": "undefined"}
        return "ONTASKADD", {"FIELDS_BEFORE": "undefined", "FIELDS_AFTER": fields, **access}
    access = {"IS_ACCESSIBLE_BEFORE": "undefined", "IS_ACCESSIBLE_AFTER": "undefined"}
    if verb == "UPDATE":
        return "ONTASKUPDATE", {"FIELDS_BEFORE": fields, "FIELDS_AFTER": fields, **access}
    return "ONTASKDELETE", {"FIELDS_BEFORE": fields, **access}


def _requisite_events(site: Site, change: Change) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Bank details are an object of their own here, so a change of them alone is not the requisite's."""
    before, after = change.before.requisites, change.after.requisites
    kept = after or before
    verb = "UPDATE" if before and after else "ADD" if after else "DELETE"
    bank_before, bank_after = (_bank_of(held) for held in (before, after))
    if before is None or after is None or replace(before, **bank_after) != after:
        yield f"ONCRMREQUISITE{verb}", {"FIELDS": {"ID": kept.id}}
    if bank_before != bank_after:
        bank_verb = "UPDATE" if any(bank_before.values()) else "ADD"
        bank_verb = bank_verb if any(bank_after.values()) else "DELETE"
        yield f"ONCRMBANKDETAIL{bank_verb}", {"FIELDS": {"ID": kept.id}}
    if site.switches.requisites_raise_company_update:
        yield "ONCRMCOMPANYUPDATE", {"FIELDS": {"ID": change.entity_id}}


def _bank_of(held: Requisites | None) -> dict[str, Any]:
    names = ("bank_name", "bik", "account", "corr_account")
    return {name: getattr(held, name) if held else "" for name in names}
