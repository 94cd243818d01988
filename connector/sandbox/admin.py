"""What a tester turns while the sandbox runs, over HTTP: faults, the clock, old webhooks.

JSON below `/sandbox/api/`, described in `docs/sandbox.md`, and the page that clicks the same addresses. Wrong
input is answered 400 with the key and what it may be.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, request

from connector.sandbox.fault_rules import CRMS, HOOK_FAULTS, REQUEST_FAULTS, BadOrder
from connector.sandbox.faults import Faults
from connector.sandbox.moving_clock import MAX_SHIFT, MovingClock

FAULTS = "/sandbox/api/faults"
TIME = "/sandbox/api/time"
HOOKS = "/sandbox/api/hooks"
#: Webhooks that a list shows, and that one call repeats at most.
HOOKS_SHOWN = 100

Answer = Response | tuple[Response, int]


class Admin:
    """The addresses over one sandbox's faults and clock."""

    def __init__(self, faults: Faults, clock: MovingClock) -> None:
        self._faults = faults
        self._clock = clock

    def blueprint(self) -> Blueprint:
        """All addresses, absolute; to be mounted at the root."""
        bp = Blueprint("sandbox_admin", __name__)
        bp.get(FAULTS)(self.show_faults)
        bp.patch(FAULTS)(self.turn_knobs)
        bp.post(FAULTS)(self.add_fault)
        bp.delete(FAULTS)(self.clear_faults)
        bp.delete(f"{FAULTS}/<int:rule_id>")(self.remove_fault)
        bp.get(f"{FAULTS}/kinds")(self.kinds)
        bp.get(TIME)(self.show_time)
        bp.post(TIME)(self.move_time)
        bp.get(HOOKS)(self.show_hooks)
        bp.post(f"{HOOKS}/replay")(self.replay)
        bp.errorhandler(BadOrder)(lambda error: (jsonify(error=str(error)), 400))
        return bp

    def show_faults(self) -> Answer:
        return jsonify(self._faults.values())

    def turn_knobs(self) -> Answer:
        body = _body()
        try:
            self._faults.set(**body)
        except ValueError as error:
            raise BadOrder(str(error)) from None
        return self.show_faults()

    def add_fault(self) -> Answer:
        return jsonify(self._faults.add(_body()).describe()), 201

    def clear_faults(self) -> Answer:
        """Nothing goes wrong any more; the limits stand at their default, the usual latency stays."""
        self._faults.reset()
        return self.show_faults()

    def remove_fault(self, rule_id: int) -> Answer:
        if not self._faults.remove(rule_id):
            return jsonify(error=f"сбоя {rule_id} нет или он уже кончился"), 404
        return self.show_faults()

    def kinds(self) -> Answer:
        """What may be ordered, with its Russian name."""

        def named(titles: dict[str, str]) -> list[dict[str, str]]:
            return [{"what": what, "title": title} for what, title in titles.items()]

        return jsonify(requests=named(REQUEST_FAULTS), hooks=named(HOOK_FAULTS))

    def show_time(self) -> Answer:
        return jsonify(now=self._clock.now().isoformat(), shift_s=round(self._clock.shift.total_seconds()))

    def move_time(self) -> Answer:
        """Skip time: `{"forward_s": 3600}` or `{"to": "2026-11-26T09:00:00+03:00"}`."""
        body = _body()
        if len(body) != 1 or not body.keys() <= {"forward_s", "to"}:
            raise BadOrder("нужно одно из двух: forward_s (секунды) или to (момент)")
        by = _seconds(body["forward_s"]) if "forward_s" in body else _moment(body["to"]) - self._clock.now()
        try:
            self._clock.forward(by)
        except ValueError as error:
            raise BadOrder(f"{next(iter(body))}: {error}") from None
        return self.show_time()

    def show_hooks(self) -> Answer:
        crm = request.args.get("crm", "")
        if crm not in ("", *CRMS):
            raise BadOrder(f"crm: есть {', '.join(CRMS)}")
        return jsonify(hooks=[hook.describe() for hook in self._faults.sent.newest(HOOKS_SHOWN, crm)])

    def replay(self) -> Answer:
        """Send an old webhook once more: `{"id": 7}`, or the last ones, `{"last": 3, "crm": "amocrm"}`."""
        body = _body()
        if not body.keys() <= {"id", "last", "crm"} or ("id" in body) == ("last" in body):
            raise BadOrder("нужно одно из двух: id (номер хука) или last (сколько последних), и можно crm")
        count = body.get("id", body.get("last"))
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise BadOrder(f"{'id' if 'id' in body else 'last'}: нужно целое число от 1")
        crm = body.get("crm", "")
        if crm not in ("", *CRMS):
            raise BadOrder(f"crm: есть {', '.join(CRMS)}")
        if "id" in body:
            found = self._faults.sent.find(count)
            if found is None:
                return jsonify(error=f"хука {count} нет среди последних"), 404
            chosen = [found]
        else:
            chosen = list(reversed(self._faults.sent.newest(min(count, HOOKS_SHOWN), crm)))
        for hook in chosen:
            self._faults.sent.repeat(hook)
        return jsonify(hooks=[hook.describe() for hook in chosen])


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True, force=True)
    if not isinstance(body, dict):
        raise BadOrder("нужен объект JSON")
    return body


def _seconds(value: object) -> timedelta:
    limit = MAX_SHIFT.total_seconds()
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value <= limit:  # type: ignore[operator]
        raise BadOrder(f"forward_s: нужно число секунд больше нуля и не больше {limit:.0f}")
    return timedelta(seconds=value)  # type: ignore[arg-type]


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise BadOrder("to: нужен момент вида 2026-11-26T09:00:00+03:00") from None
    if moment.tzinfo is None:
        raise BadOrder("to: нужен момент с часовым поясом, например 2026-11-26T09:00:00+03:00")
    return moment.astimezone(UTC)
