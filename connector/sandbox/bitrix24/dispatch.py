"""Carrying out a method: limits of operating time, one call at a time, the time block of the answer.

Knows nothing of HTTP. Source: reference sections 2.2 and 3.2.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, Caller, Outcome, Page
from connector.sandbox.bitrix24.door import find_method
from connector.sandbox.bitrix24.params import Params
from connector.sandbox.bitrix24.registry import METHODS
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError, moment

#: Ends of names of methods that change nothing; a batch is judged by its commands.
_READS: Final = (".list", ".get", ".fields", "batch")
_NO_READS: Final = frozenset({"event.offline.get"})
#: As measured on a self-hosted portal: half the time is billed, and shorter calls not at all.
_MEASURED_SHARE: Final = 0.5
_MEASURED_LEAST_S: Final = 0.1


class Dispatch:
    """Runs methods on behalf of callers, alone or as commands of a batch."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def run(self, caller: Caller, name: str, data: dict[str, Any], *, nested: bool = False) -> Outcome:
        """Carry out one method; RestError for everything that a caller did wrong."""
        site = self._site
        method = find_method(site, METHODS, caller, name)
        if nested and not method.in_batch:
            raise RestError(405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
        billed = self._is_billed(is_batch=method.name == "batch", nested=nested)
        key = (caller.kind, caller.id, method.name.lower())
        now = site.clock.now()
        if billed and site.faults.limits_on and site.operating.is_blocked(key, now):
            raise RestError(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
        started, clock_started = time.time(), time.perf_counter()
        params = Params(data, any_case=method.any_case)
        connector = params.get("auth_connector")
        with site.acting_as(str(connector) if connector else None):
            call = Call(site, caller, method.name, params, partial(self.run, caller, nested=True), METHODS)
            # A call is a transaction: what it read is still so when it writes.
            with site.portal.lock if method.in_batch else nullcontext():
                try:
                    answer = method.run(call)
                finally:
                    if method.name in _NO_READS or not method.name.endswith(_READS):
                        # A field or a link may have changed, which no revision tells.
                        site.portal.queries.forget()
        page = answer if isinstance(answer, Page) else Page(answer)
        spent = site.switches.method_cost_s.get(method.name.lower(), time.perf_counter() - clock_started)
        if billed:
            site.operating.add(key, now, self._bill(spent))
        return Outcome(page, self._time_block(started, spent, *site.operating.state(key, now)))

    def blank_time(self) -> dict[str, Any]:
        """The time block of an answer that no method of the portal made."""
        now = time.time()
        return self._time_block(now, 0.0, 0.0, int(now) + 600)

    def _is_billed(self, *, is_batch: bool, nested: bool) -> bool:
        if self._site.switches.batch_billing == "measured":
            return not nested
        return not is_batch

    def _bill(self, spent_s: float) -> float:
        if self._site.switches.batch_billing != "measured":
            return spent_s
        return spent_s * _MEASURED_SHARE if spent_s >= _MEASURED_LEAST_S else 0.0

    def _time_block(self, started: float, spent: float, operating: float, reset_at: int) -> dict[str, Any]:
        zone, finish = self._site.zone, started + spent
        return {
            "start": started,
            "finish": finish,
            "duration": spent,
            "processing": spent,
            "date_start": moment(datetime.fromtimestamp(started, zone), zone),
            "date_finish": moment(datetime.fromtimestamp(finish, zone), zone),
            "operating_reset_at": reset_at,
            "operating": operating,
        }
