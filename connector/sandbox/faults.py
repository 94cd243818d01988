"""What goes wrong on demand: knobs that both dialects read on every request and every webhook delivery.

Knows no CRM. A test or the board turns the knobs in Python or through `blueprint`'s JSON; the defaults
harm nothing.
"""

from __future__ import annotations

import random
import threading
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request


@dataclass(frozen=True, slots=True)
class Failure:
    """A prepared wrong answer. `path_part` limits it to paths that hold that text, `method` to a verb.

    `after_commit`: the request is carried out and only its answer is lost, so a repeat makes a second entity.
    """

    status: int
    body: str = ""
    content_type: str = "text/html"
    path_part: str = ""
    method: str = ""
    after_commit: bool = False

    def matches(self, method: str, path: str) -> bool:
        return self.path_part in path and self.method in ("", method)


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


class Faults:
    """The knobs of one sandbox; thread-safe.

    latency_s: each API request sleeps so long. limits_on: rate limits of the dialects are in force.
    drop_share: part (0..1) of the webhook deliveries that never happen. duplicate: each delivery happens
    twice. reorder: deliveries leave in a shuffled order. delay_s: each delivery waits so long first.
    """

    def __init__(self, *, seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._knobs = _Knobs()
        self._failures: list[Failure] = []
        self._random = random.Random(seed)

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

    def values(self) -> dict[str, Any]:
        """All knobs by name, and how many prepared failures wait."""
        with self._lock:
            return {**asdict(self._knobs), "failures_left": len(self._failures)}

    def reset(self) -> None:
        """Every knob at its default, no failure prepared."""
        with self._lock:
            self._knobs = _Knobs()
            self._failures.clear()

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
        failure = Failure(status, body, content_type, path_part, method.upper(), after_commit)
        with self._lock:
            self._failures.extend([failure] * n)

    def take_failure(self, method: str, path: str) -> Failure | None:
        """The first prepared failure that matches, used up by this call."""
        with self._lock:
            for index, failure in enumerate(self._failures):
                if failure.matches(method, path):
                    return self._failures.pop(index)
        return None

    def is_dropped(self) -> bool:
        """Whether this delivery is one of those that never happen."""
        with self._lock:
            return self._random.random() < self._knobs.drop_share

    def hold_s(self, window_s: float = 2.0) -> float:
        """Seconds that this delivery waits: `delay_s`, and under `reorder` a random part of `window_s`."""
        with self._lock:
            shuffle = self._random.uniform(0, window_s) if self._knobs.reorder else 0.0
            return self._knobs.delay_s + shuffle

    def blueprint(self, prefix: str = "/sandbox/api/faults") -> Blueprint:
        """JSON admin API: GET the values, PATCH some, POST …/fail-next, DELETE to reset."""
        bp = Blueprint("sandbox_faults", __name__, url_prefix=prefix)

        @bp.get("")
        def show() -> Response:
            return jsonify(self.values())

        @bp.patch("")
        def change() -> tuple[Response, int]:
            return self._change(request.get_json(silent=True))

        @bp.post("/fail-next")
        def prepare() -> tuple[Response, int]:
            return self._prepare(request.get_json(silent=True))

        @bp.delete("")
        def clear() -> Response:
            self.reset()
            return jsonify(self.values())

        return bp

    def _change(self, body: Any) -> tuple[Response, int]:
        if not isinstance(body, dict):
            return jsonify(error="a JSON object of knobs is needed"), 400
        try:
            self.set(**body)
        except ValueError as error:
            return jsonify(error=str(error)), 400
        return jsonify(self.values()), 200

    def _prepare(self, body: Any) -> tuple[Response, int]:
        allowed = {"n", "status", "body", "content_type", "path_part", "method", "after_commit"}
        if not isinstance(body, dict) or "status" not in body or not set(body) <= allowed:
            return jsonify(error=f"a JSON object with status and any of {sorted(allowed)} is needed"), 400
        count, status = body.pop("n", 1), body.pop("status")
        numbers_fit = all(isinstance(x, int) and not isinstance(x, bool) for x in (count, status))
        if not numbers_fit or not 1 <= count <= 10_000 or not 200 <= status <= 599:
            return jsonify(error="n is 1..10000, status 200..599"), 400
        self.fail_next(count, status, **body)
        return jsonify(self.values()), 200


def _check(name: str, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in _FLAGS:
        fits = isinstance(value, bool)
    elif name in _SHARES:
        fits = is_number and 0 <= value <= 1
    elif name in _SECONDS:
        fits = is_number and value >= 0
    else:
        raise ValueError(f"no such knob: {name}; there are {', '.join(sorted(_FLAGS | _SHARES | _SECONDS))}")
    if not fits:
        raise ValueError(f"{name}: {value!r} does not fit")
