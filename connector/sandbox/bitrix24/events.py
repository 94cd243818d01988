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
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

import requests

from connector.sandbox.bitrix24.event_bodies import Pairs, events_of, flatten
from connector.sandbox.bitrix24.event_names import APP_ONLY_EVENTS, EVENTS, WITH_REFRESH_TOKEN
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.state import Change

log = logging.getLogger(__name__)

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Binding:
    """A handler of one event. `user_id` 0: the acting user's token goes along; id 0: nobody bound it.

    min_gap_s: seconds between two bells of ONOFFLINEEVENT (`options.minTimeout`).
    """

    id: int
    kind: Literal["webhook", "app"]
    event: str
    url: str
    user_id: int = 0
    min_gap_s: int = 1


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
    """One body on its way to one handler; the time of sending is added when it leaves.

    form: what is no event (a robot's call, a provider's message), written when it was queued.
    """

    url: str
    notice: Notice
    binding: Binding
    form: Pairs | None = None


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
        self._bells: dict[int, datetime] = {}
        self._silent = threading.local()
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

    def bind(self, event: str, url: str, user_id: int, *, min_gap_s: int = 1) -> bool:
        """Bind an application's handler; False when that very binding is there."""
        with self._condition:
            if any(
                b.kind == "app" and (b.event, b.url, b.user_id) == (event, url, user_id)
                for b in self.online()
            ):
                return False
            number = next(self._ids)
            self._bindings[number] = Binding(number, "app", event, url, user_id, min_gap_s)
            return True

    def bind_offline(self, event: str, connector: str) -> bool:
        binding = OfflineBinding(event, connector)
        with self._condition:
            if binding in self._offline:
                return False
            self._offline.add(binding)
            return True

    def unbind(self, event: str, url: str, user_id: int | None) -> int:
        """Remove the application's handlers that match, at any address when `url` is empty; their number."""
        with self._condition:
            gone = [
                number
                for number, b in self._bindings.items()
                if b.kind == "app"
                and b.event == event
                and url in ("", b.url)
                and user_id in (None, b.user_id)
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

    def forget_application(self) -> None:
        """The application is gone, and all that it bound."""
        with self._condition:
            self._bindings = {number: b for number, b in self._bindings.items() if b.kind == "webhook"}
            self._offline.clear()

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

    @contextmanager
    def silent(self, wanted: bool) -> Iterator[None]:
        """What changes inside tells nobody, if `wanted`."""
        before, self._silent.on = self._is_silent, wanted
        try:
            yield
        finally:
            self._silent.on = before

    @property
    def _is_silent(self) -> bool:
        return bool(getattr(self._silent, "on", False))

    def tell(self, notice: Notice) -> None:
        """Queue an event for all who are bound to it."""
        if self._is_silent:
            return
        for offline in self.offline():
            if offline.event == notice.event and (
                not offline.connector or offline.connector != self._site.acting_connector
            ):
                self._site.offline.put(notice.event, notice.data, notice.by, offline.connector)
                self._queue(Notice("ONOFFLINEEVENT", {}, notice.by, notice.system))
        self._queue(notice)

    def post(self, url: str, title: str, form: Pairs) -> None:
        """Queue a form that is no event: a robot's call, a message for a provider."""
        notice = Notice(title, {}, 0, system=True)
        self._enter(Delivery(url, notice, Binding(0, "app", title, url), form))

    def tell_at(self, url: str, notice: Notice) -> None:
        """Queue an event for an address that nobody bound: that of the application's installer."""
        self._enter(Delivery(url, notice, Binding(0, "app", notice.event, url)))

    def _queue(self, notice: Notice) -> None:
        for binding in self.online():
            if binding.event != notice.event or not self._is_awake(binding, notice):
                continue
            self._enter(Delivery(binding.url, notice, binding))

    def _is_awake(self, binding: Binding, notice: Notice) -> bool:
        """An application not installed hears nothing; bells of the offline queue keep their distance."""
        if binding.kind == "app" and not self._site.application.is_installed:
            return False
        if notice.event != "ONOFFLINEEVENT":
            return True
        now, last = self._site.clock.now(), self._bells.get(binding.id)
        if last is not None and now - last < timedelta(seconds=binding.min_gap_s):
            return False
        self._bells[binding.id] = now
        return True

    def _enter(self, delivery: Delivery) -> None:
        site = self._site
        for wait_s in site.faults.deliveries("bitrix24", site.member_id, delivery.notice.event):
            wait = timedelta(seconds=site.switches.event_delay_s + wait_s)
            due = site.portal.clock.now() + wait
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
        if delivery.form is not None:
            return delivery.form
        notice, binding, site = delivery.notice, delivery.binding, self._site
        pairs: Pairs = [("event", notice.event)]
        if binding.id:
            pairs.append(("event_handler_id", str(binding.id)))
        pairs += flatten("data", notice.data)
        pairs.append(("ts", str(int(site.clock.now().timestamp()))))
        if binding.kind == "webhook" or notice.system:
            return pairs + flatten("auth", site.address_block())
        with_refresh = notice.event in WITH_REFRESH_TOKEN or site.switches.events_carry_refresh_token
        return pairs + flatten(
            "auth", site.oauth.auth_block(binding.user_id or notice.by, with_refresh=with_refresh)
        )
