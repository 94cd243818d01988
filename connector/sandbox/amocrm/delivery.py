"""Sending webhooks: who is subscribed, two seconds for an answer, the ladder of retries, switching off.

Time is the sandbox's own: moving its clock makes retries due. Source: reference 6.1, 6.6.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import requests

from connector.sandbox.amocrm.hook_bodies import Notice, form, notices, trigger_form
from connector.sandbox.amocrm.world import World
from connector.sandbox.faults import Faults
from connector.sandbox.state import Change

ANSWER_WITHIN_S = 2.0
#: Wait before try 2, 3, 4, 5; counted from the previous try.
LADDER = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=15), timedelta(hours=1))
#: From here on only 499 and 5xx are tried again.
STRICT_FROM_TRY = 3
DISABLE_OVER = 100
DISABLE_WINDOW = timedelta(hours=2)
CONNECTION_FAILED = 0


@dataclass(slots=True)
class Hook:
    """One subscription; `settings` are its event codes."""

    id: int
    destination: str
    settings: list[str]
    sort: int
    created_at: datetime
    updated_at: datetime
    created_by: int
    disabled: bool = False
    #: A digital pipeline's own hook: in no list, short body, sent once.
    is_trigger: bool = False
    #: Moments of invalid answers of the last two hours.
    invalid_at: deque[datetime] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try, for the board and for tests. `status` 0: no connection."""

    at: datetime
    hook_id: int
    destination: str
    code: str
    attempt: int
    status: int


@dataclass(order=True, slots=True)
class _Waiting:
    due: datetime
    number: int
    hook_id: int = field(compare=False)
    notice: Notice = field(compare=False)
    request_id: str = field(compare=False)
    attempt: int = field(compare=False, default=1)


class Delivery:
    """The queue of one account and the thread that empties it, in the order of the changes.

    Without `start` nothing leaves; `run_due` sends what is due in the caller's thread.
    """

    NOT_KEPT = frozenset({"attempts", "_in_flight", "_stopping"})

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._wake = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._in_flight = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self.hooks: dict[int, Hook] = {}
        self.triggers: dict[int, Hook] = {}
        self.attempts: deque[Attempt] = deque(maxlen=2000)
        world.portal.listen(self._hear)
        world.portal.clock.on_move(self._look_again)

    def start(self) -> None:
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="amocrm-delivery", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the delivery in flight; what waits is kept."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=ANSWER_WITHIN_S + 3)
            self._thread = None

    def pending(self) -> int:
        """Deliveries that wait or are under way."""
        with self._wake:
            return len(self._waiting) + self._in_flight

    def run_due(self) -> int:
        """Send everything that is due by the sandbox's clock; how many tries were made."""
        count = 0
        while (item := self._take()) is not None:
            self._send(item)
            count += 1
        return count

    def _now(self) -> datetime:
        return self._world.portal.clock.now()

    def _look_again(self) -> None:
        with self._wake:
            self._wake.notify_all()

    def _hear(self, change: Change) -> None:
        for notice in notices(change):
            self.tell(notice)

    def tell(self, notice: Notice) -> None:
        """Queue a notice for everyone who subscribed to its code."""
        for hook in list(self.hooks.values()):
            if notice.code in hook.settings and not hook.disabled:
                self._enqueue(hook.id, notice)

    def pull(self, trigger: Hook, notice: Notice) -> None:
        """Queue a digital pipeline's notice for its own address."""
        if not trigger.disabled:
            self._enqueue(trigger.id, notice)

    def _enqueue(self, hook_id: int, notice: Notice) -> None:
        for wait_s in self._faults.deliveries("amocrm", str(self._world.account_id), notice.code):
            due = self._now() + timedelta(seconds=wait_s)
            with self._wake:
                self._number += 1
                item = _Waiting(due, self._number, hook_id, notice, str(uuid4()))
                heapq.heappush(self._waiting, item)
                self._wake.notify_all()

    def _take(self) -> _Waiting | None:
        with self._wake:
            if not self._waiting or self._waiting[0].due > self._now():
                return None
            self._in_flight = True
            return heapq.heappop(self._waiting)

    def _run(self) -> None:
        while not self._stopping:
            item = self._take()
            if item is None:
                with self._wake:
                    wait = self._wait_s()
                    if not self._stopping and (wait is None or wait > 0):
                        self._wake.wait(wait)
                continue
            self._send(item)

    def _wait_s(self) -> float | None:
        """Seconds until something is due; None when nothing waits."""
        return (self._waiting[0].due - self._now()).total_seconds() if self._waiting else None

    def _send(self, item: _Waiting) -> None:
        try:
            hook = self.hooks.get(item.hook_id) or self.triggers.get(item.hook_id)
            if hook is None or hook.disabled:
                return
            status = self._post(hook, item)
            now = self._now()
            self.attempts.append(
                Attempt(now, hook.id, hook.destination, item.notice.code, item.attempt, status)
            )
            if not 100 <= status <= 299:
                self._failed(hook, item, status, now)
        finally:
            with self._wake:
                self._in_flight = False

    def _post(self, hook: Hook, item: _Waiting) -> int:
        """The answer's status; 0 for no connection, the switch's code for no answer in time."""
        destination = hook.destination
        with self._world.portal.lock:
            body = (
                trigger_form(self._world, item.notice) if hook.is_trigger else form(self._world, item.notice)
            )
        headers = {
            "User-Agent": "amoCRM-Webhooks/3.0",
            "Accept-Encoding": "gzip",
            "Accept": None,
            "Connection": None,
            "Content-Type": "application/x-www-form-urlencoded",
            "X-amoCRM-RequestId": item.request_id,
        }
        try:
            with self._session.post(
                destination,
                data=body,
                headers=headers,
                timeout=ANSWER_WITHIN_S,
                allow_redirects=False,
                stream=True,
            ) as answer:
                status = answer.status_code
        except requests.Timeout:
            status = self._world.switches.timeout_code
        except requests.RequestException:
            status = CONNECTION_FAILED
        self._faults.sent.add("amocrm", item.notice.code, destination, body, headers, status)
        return status

    def _failed(self, hook: Hook, item: _Waiting, status: int, now: datetime) -> None:
        if hook.is_trigger and not self._world.switches.pipeline_hooks_retry:
            return
        hook.invalid_at.append(now)
        while hook.invalid_at and hook.invalid_at[0] < now - DISABLE_WINDOW:
            hook.invalid_at.popleft()
        if len(hook.invalid_at) > DISABLE_OVER:
            hook.disabled = True
            return
        wait = next_wait(item.attempt, status)
        if wait is not None:
            with self._wake:
                self._number += 1
                keeps = self._world.switches.retries_keep_request_id
                name = item.request_id if keeps else str(uuid4())
                again = _Waiting(now + wait, self._number, hook.id, item.notice, name, item.attempt + 1)
                heapq.heappush(self._waiting, again)


def next_wait(attempt: int, status: int) -> timedelta | None:
    """How long after failed try number `attempt` (from 1) the next comes; None when it was the last."""
    if attempt > len(LADDER):
        return None
    if attempt >= STRICT_FROM_TRY and not (status == 499 or 500 <= status <= 599):
        return None
    return LADDER[attempt - 1]
