"""What goes wrong on demand: both dialects ask here on every request and for every webhook.

Two kinds of orders: a few knobs that stand until they are turned back, and `Rule`s (`fault_rules`) for some
calls, a share of them, a time, an address, one CRM. The defaults harm nothing. `admin` offers all of it over
HTTP. Knows no CRM's protocol.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from flask import Response

from connector.sandbox.fault_rules import REQUEST_FAULTS, USUAL_DELAY_S, Rule, parse
from connector.sandbox.moving_clock import MovingClock
from connector.sandbox.sent_hooks import SentHooks

#: Rules that are over, kept for their counters.
REMEMBERED = 50
#: Answers held back at one time; each takes a thread of the server, which has more.
MAX_HELD = 32
#: Seconds over which shuffled webhooks are spread.
REORDER_WINDOW_S = USUAL_DELAY_S["reorder"]

_PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
_PAGE += "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
_REASONS = {
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}
#: Errors that a CRM words itself; any other is the page of the web server before it.
#: Source: the references, «Ошибки» and limits of Bitrix24.
_OWN_WORDS = {
    ("bitrix24", 503): ("QUERY_LIMIT_EXCEEDED", "Too many requests"),
    ("bitrix24", 429): ("OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit."),
    ("bitrix24", 500): ("INTERNAL_SERVER_ERROR", "Internal server error"),
    ("yookassa", 429): ("too_many_requests", "Too many requests, try again later."),
    ("yookassa", 500): ("internal_server_error", "Technical problems, try again later."),
}


@dataclass(slots=True)
class _Knobs:
    latency_s: float = 0.0
    limits_on: bool = True
    drop_share: float = 0.0
    duplicate: bool = False
    reorder: bool = False
    delay_s: float = 0.0


#: What a knob may be set to; anything else is refused, so that a typo in a test is seen.
_SHARES = frozenset({"drop_share"})
_FLAGS = frozenset({"limits_on", "duplicate", "reorder"})
_SECONDS = frozenset({"latency_s", "delay_s"})
KNOBS = _SHARES | _FLAGS | _SECONDS


class Faults:
    """The knobs and rules of one sandbox; thread-safe.

    latency_s: each API request takes so long. limits_on: rate limits of the dialects are in force.
    drop_share: part (0..1) of the webhook deliveries that never happen. duplicate: each delivery happens
    twice. reorder: deliveries leave in a shuffled order. delay_s: each delivery waits so long first.
    `sent` keeps what has left, for repeating it.
    """

    def __init__(self, *, seed: int = 1, clock: MovingClock | None = None) -> None:
        self._clock = clock or MovingClock()
        self.sent = SentHooks(self._clock)
        self._lock = threading.Lock()
        self._knobs = _Knobs()
        self._rules: list[Rule] = []
        self._over: deque[Rule] = deque(maxlen=REMEMBERED)
        self._last_id = 0
        self._random = random.Random(seed)
        self._held = 0
        self._answered: Counter[str] = Counter()

    @property
    def latency_s(self) -> float:
        return self._knobs.latency_s

    @latency_s.setter
    def latency_s(self, value: float) -> None:
        self.set(latency_s=value)

    @property
    def limits_on(self) -> bool:
        return self._knobs.limits_on

    @limits_on.setter
    def limits_on(self, value: bool) -> None:
        self.set(limits_on=value)

    @property
    def drop_share(self) -> float:
        return self._knobs.drop_share

    @drop_share.setter
    def drop_share(self, value: float) -> None:
        self.set(drop_share=value)

    @property
    def duplicate(self) -> bool:
        return self._knobs.duplicate

    @duplicate.setter
    def duplicate(self, value: bool) -> None:
        self.set(duplicate=value)

    @property
    def reorder(self) -> bool:
        return self._knobs.reorder

    @reorder.setter
    def reorder(self, value: bool) -> None:
        self.set(reorder=value)

    @property
    def delay_s(self) -> float:
        return self._knobs.delay_s

    @delay_s.setter
    def delay_s(self, value: float) -> None:
        self.set(delay_s=value)

    def set(self, **values: Any) -> None:
        """Turn knobs by name. ValueError for an unknown name or a value out of range; then none is turned."""
        for name, value in values.items():
            _check(name, value)
        with self._lock:
            for name, value in values.items():
                setattr(self._knobs, name, value)

    def add(self, order: object) -> Rule:
        """Put a fault in force. Raises BadOrder, which is a ValueError."""
        with self._lock:
            rule = parse(order, number=self._last_id + 1, now=self._clock.now())
            self._last_id = rule.id
            self._rules.append(rule)
            return rule

    def fail_next(
        self,
        n: int,
        status: int,
        body: str = "",
        content_type: str = "text/html",
        *,
        path_part: str = "",
        method: str = "",
        after_commit: bool = False,
    ) -> None:
        """Answer the next `n` matching API requests with `status` and `body`."""
        self.add(
            {
                "what": "status", "times": n, "status": status, "body": body, "content_type": content_type,
                "path": path_part, "method": method.upper(), "after_commit": after_commit,
            }
        )  # fmt: skip

    def remove(self, rule_id: int) -> bool:
        """End one rule; False when there is none in force."""
        with self._lock:
            found = [rule for rule in self._rules if rule.id == rule_id]
            self._rules = [rule for rule in self._rules if rule.id != rule_id]
            self._over.extend(found)
            return bool(found)

    def reset(self) -> None:
        """Nothing goes wrong any more: no rule in force, every knob at its default but the usual latency."""
        with self._lock:
            self._knobs = _Knobs(latency_s=self._knobs.latency_s)
            self._over.extend(self._rules)
            self._rules.clear()

    def values(self) -> dict[str, Any]:
        """All knobs by name, the rules in force, those that are over, and what was done by kind."""
        with self._lock:
            self._retire()
            return {
                **asdict(self._knobs),
                "active": [rule.describe() for rule in self._rules],
                "over": [rule.describe() for rule in reversed(self._over)],
                "struck": dict(self._answered),
                "held": self._held,
            }

    # Requests

    def around(
        self, crm: str, account: str, method: str, path: str, make: Callable[[], Response]
    ) -> Response:
        """The answer to an API request: `make`'s own, late, spoilt, or another one in its place."""
        if self.latency_s:
            self._clock.sleep(timedelta(seconds=self.latency_s))
        rule = self._strike(crm, account, method, path)
        if rule is None:
            return make()
        if rule.delay_s:
            self._hold(rule.delay_s)
        if rule.what in ("slow", "cut", "bad_json"):
            own = make()
            return own if rule.what == "slow" else _spoilt(own, is_cut=rule.what == "cut")
        if rule.after_commit:
            make()
        return _instead(rule, crm)

    def _strike(self, crm: str, account: str, method: str, path: str) -> Rule | None:
        with self._lock:
            self._retire()
            for rule in self._rules:
                is_met = rule.what in REQUEST_FAULTS and rule.matches(crm, account, method, path)
                if is_met and self._hits(rule):
                    return rule
        return None

    def _hold(self, seconds: float) -> None:
        """Let an answer wait; when too many do already, it does not, or nobody could clear the fault."""
        with self._lock:
            if self._held >= MAX_HELD:
                return
            self._held += 1
        try:
            self._clock.sleep(timedelta(seconds=seconds))
        finally:
            with self._lock:
                self._held -= 1

    # Webhooks

    def deliveries(self, crm: str, account: str, event: str) -> list[float]:
        """Seconds that each delivery of one event to one subscriber waits: none when it is lost."""
        with self._lock:
            self._retire()
            copies, wait, window = 1, self._knobs.delay_s, 0.0
            if self._knobs.drop_share and self._random.random() < self._knobs.drop_share:
                self._answered["drop"] += 1
                return []
            if self._knobs.duplicate:
                copies = 2
            if self._knobs.reorder:
                window = REORDER_WINDOW_S
            for rule in self._rules:
                if not rule.is_for_hooks or not rule.matches(crm, account, "", event) or not self._hits(rule):
                    continue
                if rule.what == "drop":
                    return []
                if rule.what == "double":
                    copies = 2
                elif rule.what == "delay":
                    wait += rule.delay_s
                else:
                    window = max(window, rule.delay_s)
            return [wait + (self._random.uniform(0, window) if window else 0.0) for _ in range(copies)]

    # Both, under the lock

    def _hits(self, rule: Rule) -> bool:
        rule.seen += 1
        if rule.is_over(self._clock.now()) or (rule.share < 1 and self._random.random() >= rule.share):
            return False
        rule.struck += 1
        self._answered[rule.what] += 1
        return True

    def _retire(self) -> None:
        now = self._clock.now()
        over = [rule for rule in self._rules if rule.is_over(now)]
        if over:
            self._rules = [rule for rule in self._rules if rule not in over]
            self._over.extend(over)


def _instead(rule: Rule, crm: str) -> Response:
    """The wrong answer that a rule gives."""
    status = 504 if rule.what == "timeout" else rule.status
    if rule.body is not None:
        return Response(rule.body, status, content_type=rule.content_type)
    own = _OWN_WORDS.get((crm, status)) if rule.what == "status" else None
    if own is not None:
        code, text = own
        words = {"error": code, "error_description": text}
        if crm == "yookassa":
            words = {"type": "error", "code": code, "description": text}
        body = json.dumps(words)
        return Response(body, status, content_type="application/json; charset=utf-8")
    reason = _REASONS.get(status)
    title = f"{status} {reason}" if reason else "Ведутся технические работы" if status == 200 else str(status)
    return Response(_PAGE.format(title), status, content_type="text/html; charset=utf-8")


def _spoilt(answer: Response, *, is_cut: bool) -> Response:
    """Half of an answer: with the length of the whole when the connection is cut, else as if it were all.

    The server closes a connection on which fewer bytes went out than were promised.
    """
    whole = answer.get_data()
    half = whole[: len(whole) // 2]
    spoilt = Response(half, answer.status_code, headers=answer.headers)
    spoilt.headers["Content-Length"] = str(max(len(whole), 1) if is_cut else len(half))
    return spoilt


def _check(name: str, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in _FLAGS:
        fits = isinstance(value, bool)
    elif name in _SHARES:
        fits = is_number and 0 <= value <= 1
    elif name in _SECONDS:
        fits = is_number and value >= 0
    else:
        raise ValueError(f"{name}: такой ручки нет; есть {', '.join(sorted(KNOBS))}")
    if not fits:
        raise ValueError(f"{name}: {value!r} не подходит")
