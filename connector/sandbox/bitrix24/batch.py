"""`batch`: up to fifty commands in one request, each able to refer to results of those before it.

Source: reference section 2.5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.params import as_map, from_query
from connector.sandbox.bitrix24.wire import RestError, is_yes, php

TABLE = MethodTable()

MAX_COMMANDS = 50

_REFERENCE = re.compile(r"\$result((?:\[[^\]]*\])+)")
_STEP = re.compile(r"\[([^\]]*)\]")


class BatchRun:
    """One run of a batch; `result()` is the inner result with its five maps."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._commands = as_map(call.params.get("cmd"))
        self._halt = is_yes(call.params.get("halt", 0))
        self._results: dict[str, Any] = {}
        self._seen: dict[str, Any] = {}
        self._errors: dict[str, Any] = {}
        self._totals: dict[str, int] = {}
        self._nexts: dict[str, int] = {}
        self._times: dict[str, Any] = {}

    def result(self) -> dict[str, Any]:
        for place, (key, command) in enumerate(self._commands.items()):
            try:
                if place >= MAX_COMMANDS:
                    raise RestError(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
                self._run(key, str(command))
            except RestError as error:
                self._errors[key] = error.body()
                if self._halt:
                    break
        return {
            "result": self._results,
            "result_error": self._errors,
            "result_total": self._totals,
            "result_next": self._nexts,
            "result_time": self._times,
        }

    def _run(self, key: str, command: str) -> None:
        name, _, query = command.partition("?")
        outcome = self._call.nested(name.strip().removesuffix(".json"), self._resolve(from_query(query)))
        self._results[key] = outcome.page.result
        # Later references see what a client would see: PHP's lists and maps.
        self._seen[key] = php(outcome.page.result)
        self._times[key] = outcome.time
        if outcome.page.total is not None:
            self._totals[key] = outcome.page.total
        if outcome.page.next is not None:
            self._nexts[key] = outcome.page.next

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._resolve(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._resolve(item) for item in value]
        if not isinstance(value, str) or "$result" not in value:
            return value
        whole = _REFERENCE.fullmatch(value)
        if whole:
            return self._look_up(whole[1])
        return _REFERENCE.sub(lambda found: _text(self._look_up(found[1])), value)

    def _look_up(self, path: str) -> Any:
        place: Any = self._seen
        for step in _STEP.findall(path):
            if isinstance(place, Mapping) and step in place:
                place = place[step]
            elif isinstance(place, list) and step.isdigit() and int(step) < len(place):
                place = place[int(step)]
            else:
                return self._call.site.switches.unresolved_reference
        return place


def _text(value: Any) -> str:
    if value is None or isinstance(value, list | Mapping):
        return ""
    if isinstance(value, bool):
        return "1" if value else ""
    return str(value)


@TABLE.add("batch", scope="", in_batch=False)
def batch(call: Call) -> dict[str, Any]:
    return BatchRun(call).result()
