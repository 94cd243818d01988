"""Calls of Bitrix24's REST, by an inbound webhook or an application: envelope, errors, batch, paging,
operating time. Must not know what an entity means.

Source: Bitrix24 REST docs, pages «Общие принципы», «Пакетные запросы», «Лимиты», «Системные ошибки».
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm.http import MAX_TURN_WAIT, ErrorRules, Fault, HttpSession, Rate, RateLimiter
from connector.crm.tokens import Authorization, AuthorizedHttp, FixedToken, Signed, TokenSource
from connector.crm.wild import Malformed, Wild
from connector.errors import CrmError, CrmErrorKind

T = TypeVar("T")
Params = Mapping[str, object]
Reader = Callable[[Wild], T]

#: Fixed by Bitrix24 for every list and for the commands of a batch.
PAGE = 50
BATCH = 50

#: The bucket holds 50 and leaks 2 a second. The last 5 places and the fiftieth part of the rate are for the
#: leak that comes once a second, for clocks that differ, and for whoever else calls from this address.
PER_SECOND = 1.96
BURST = 45

#: The same of the Enterprise plan: 250 and 5 a second.
ENTERPRISE_PER_SECOND = 4.9
ENTERPRISE_BURST = 240

#: What an application calls itself when it changes something: the events of such changes are left out of the
#: offline queue that was bound under the same name. Source: page «Офлайн-события».
CONNECTOR = "connector"

#: Seconds of execution a method may use in ten minutes are 480; the call that crosses the line still runs.
OPERATING_LIMIT_S = 470

#: The refusal of a method that has used up its execution time.
OUT_OF_TIME = "OPERATION_TIME_LIMIT"

#: Until when a method is blocked is not in the refusal, only in the answers before it.
OPERATING_PAUSE = timedelta(minutes=1)
OVERLOAD_PAUSE = timedelta(minutes=5)

BY_CODE: dict[str, CrmErrorKind] = {
    "EXPIRED_TOKEN": "reauth",
    "INVALID_TOKEN": "reauth",
    "INVALID_CREDENTIALS": "reauth",
    "NO_AUTH_FOUND": "reauth",
    "AUTHORIZATION_ERROR": "reauth",
    "APPLICATION_NOT_FOUND": "config",
    "ERROR_OAUTH": "config",
    "PAYMENT_REQUIRED": "config",
    "METHOD_CONFIRM_WAITING": "config",
    "INSUFFICIENT_SCOPE": "config",
    "ACCESS_DENIED": "config",
    "WRONG_AUTH_TYPE": "config",
    "USER_ACCESS_ERROR": "config",
    "ALLOWED_ONLY_INTRANET_USER": "config",
    "ERROR_METHOD_NOT_FOUND": "config",
    "INVALID_REQUEST": "config",
    "PORTAL_DELETED": "config",
    "NOT_FOUND": "not_found",
    "OWNER_NOT_FOUND": "not_found",
    "QUERY_LIMIT_EXCEEDED": "retry",
    OUT_OF_TIME: "retry",
    "OVERLOAD_LIMIT": "retry",
    "INTERNAL_SERVER_ERROR": "retry",
    "ERROR_UNEXPECTED_ANSWER": "retry",
}


def read_error(_status: int, body: object) -> Fault | None:
    """What an error body says; it comes with HTTP 200 too. Classic methods leave the code empty and say «not
    found» in the portal's language."""
    if not isinstance(body, dict) or "error" not in body:
        return None
    wild = Wild(body)
    code = wild.text_at("error").upper()
    detail = re.sub(r"<[^<>]{1,20}>", " ", wild.text_at("error_description"))
    if code == "" and re.search(r"not found|не найден", detail, re.IGNORECASE):
        code = "NOT_FOUND"
    pauses = {OUT_OF_TIME: OPERATING_PAUSE, "OVERLOAD_LIMIT": OVERLOAD_PAUSE}
    refused = code in ("QUERY_LIMIT_EXCEEDED", "OVERLOAD_LIMIT")
    return Fault(code, detail, refused=refused, retry_after=pauses.get(code))


RULES = ErrorRules(read_error, BY_CODE)


class B24Api:
    """One portal's REST. Every method raises CrmError, or RetryLater when a limit is used up."""

    def __init__(
        self,
        account: AccountConfig,
        *,
        limiter: RateLimiter,
        clock: Clock,
        patience: timedelta = MAX_TURN_WAIT,
        tokens: TokenSource | None = None,
    ) -> None:
        self.account = account.name
        self.base = account.url
        #: An application may subscribe, place buttons and keep a queue; a webhook is refused all of that.
        self.is_application = tokens is not None
        self._clock = clock
        self._operating = _OperatingBook(clock)
        secret = account.url.rstrip("/").rsplit("/", 1)[-1] if "/rest/" in account.url else ""
        http = HttpSession(
            account.name,
            limiter=limiter,
            rate=rate_of(account),
            clock=clock,
            rules=RULES,
            secrets=(secret, account.token, account.application_token, account.hook_secret),
            # The server itself cuts a request after 60 s.
            timeout_s=(8, 65),
            follow_moves=True,
            patience=patience,
        )
        # The secret of a webhook stands in its address; an application's token goes with the parameters.
        tokens = tokens or FixedToken(Authorization("", account.url))
        self._http = AuthorizedHttp(http, tokens, home=self.base, sign=_with_auth)

    def call(self, method: str, params: Params, read: Reader[T], *, repeatable: bool = True) -> T:
        """The `result` of one call. `repeatable` is False for calls that create something."""
        return self.read_result(method, read, self._send(method, params, repeatable=repeatable).get("result"))

    def write(self, method: str, params: Params, read: Reader[T], *, repeatable: bool = False) -> T:
        """Like `call`, for what changes something in the CRM: an application says whose change it is."""
        author = {"auth_connector": CONNECTOR} if self.is_application else {}
        return self.call(method, {**params, **author}, read, repeatable=repeatable)

    def find(self, method: str, params: Params, read: Reader[T]) -> T | None:
        """Like `call`; None when the thing is not there (any more)."""
        try:
            return self.call(method, params, read)
        except CrmError as error:
            if error.kind == "not_found":
                return None
            raise

    def batch(self, commands: Mapping[str, tuple[str, Params]], *, halt: bool = False) -> Batch:
        """Several reads in one request, at most 50. With `halt` the first failure stops the rest."""
        methods = {key: method for key, (method, _) in commands.items()}
        # Their execution time is theirs, whoever called them.
        self._await_free(set(methods.values()))
        cmd = {key: f"{method}?{_query(params)}" for key, (method, params) in commands.items()}
        envelope = self._send("batch", {"halt": int(halt), "cmd": cmd}, repeatable=True)
        parts = envelope.get("result")
        parts = parts if isinstance(parts, dict) else {}
        keys = list(commands)
        for key, time in _as_map(parts.get("result_time"), keys).items():
            self._operating.note(methods.get(key, ""), time)
        results, errors = (_as_map(parts.get(name), keys) for name in ("result", "result_error"))
        return Batch(self, methods, results, errors)

    def offset(
        self, method: str, params: Params, rows: Callable[[Wild], Wild], read: Reader[T]
    ) -> Iterator[T]:
        """All rows of a list that has no keyset, by `start`; the end is a missing `next`."""
        start: object = 0
        while start is not None:
            envelope = self._send(method, {**params, "start": start}, repeatable=True)

            def read_page(result: Wild) -> list[T]:
                return [read(item) for item in rows(result).each()]

            found = self.read_result(method, read_page, envelope.get("result"))
            yield from found
            start = envelope.get("next") if found else None

    def total(self, method: str, params: Params) -> int | None:
        """How many rows the list has; None where the method does not tell. Counting costs the portal more
        than a page, so it is asked for once a walk."""
        total = self._send(method, {**params, "start": 0}, repeatable=True).get("total")
        return total if isinstance(total, int) else None

    @contextmanager
    def understanding(self, method: str) -> Iterator[None]:
        """What is read of an answer of `method` in here and has another shape becomes a CrmError."""
        try:
            yield
        except Malformed as error:
            raise self.unexpected(method, str(error)) from error

    def unexpected(self, method: str, detail: str) -> CrmError:
        """The error for an answer that is not what the documentation promises."""
        return CrmError(
            "rejected", account=self.account, call=method, code="UNEXPECTED_ANSWER", detail=detail[:300]
        )

    def _send(self, method: str, params: Params, *, repeatable: bool) -> dict[str, object]:
        self._await_free({method})
        try:
            data = self._http.send(
                "POST",
                f"{self.base}/{method}.json",
                call=method,
                repeatable=repeatable,
                json_body=dict(params),
            ).data
        except CrmError as error:
            error.retry_after = self.retry_after(method, error.code, error.retry_after)
            raise
        if not isinstance(data, dict) or "result" not in data:
            raise self.unexpected(method, "no result")
        self._operating.note(method, data.get("time"))
        return data

    def retry_after(self, method: str, code: str, told: timedelta | None) -> timedelta | None:
        """How long to leave `method` alone after an error with that code, which itself told `told`."""
        return (self._operating.free_in(method) if code == OUT_OF_TIME else None) or told

    def _await_free(self, methods: set[str]) -> None:
        """Go on when none of the methods is out of execution time; RetryLater when that takes too long."""
        for method in methods:
            wait = self._operating.blocked_for(method)
            if wait is not None:
                self._http.wait_out(wait)

    def read_result(self, method: str, read: Reader[T], result: object) -> T:
        """`result` as `read` understands it; CrmError when it has another shape."""
        with self.understanding(method):
            return read(Wild(result, "result"))


def _with_auth(token: str, json_body: object) -> Signed:
    if token and isinstance(json_body, dict):
        return Signed(json_body={**json_body, "auth": token})
    return Signed(json_body=json_body)


def rate_of(account: AccountConfig) -> Rate:
    """How often an account's portal may be called: the bucket of its plan, less our headroom."""
    key = f"bitrix24:{account.name}"
    if account.plan == "enterprise":
        return Rate(key, ENTERPRISE_PER_SECOND, ENTERPRISE_BURST)
    return Rate(key, PER_SECOND, BURST)


class Batch:
    """The answers of a batch by the keys of its commands."""

    def __init__(
        self,
        api: B24Api,
        methods: Mapping[str, str],
        results: dict[str, object],
        errors: Mapping[str, object],
    ) -> None:
        self._api = api
        self._methods = methods
        self._results = results
        self._errors = errors

    def read(self, key: str, read: Reader[T]) -> T:
        """The result of one command; CrmError when that command failed."""
        method = self._methods[key]
        if key in self._errors:
            fault = read_error(200, self._errors[key]) or Fault("")
            kind = BY_CODE.get(fault.code, "rejected")
            raise CrmError(
                kind,
                account=self._api.account,
                call=method,
                code=fault.code,
                detail=fault.detail[:300],
                retry_after=self._api.retry_after(method, fault.code, fault.retry_after),
            )
        return self._api.read_result(method, read, self._results.get(key))

    def take(self, key: str, read: Reader[T]) -> T:
        """Like `read`, once: the answer itself is let go, so that long lists are not held twice."""
        found = self.read(key, read)
        self._results.pop(key, None)
        return found

    def find(self, key: str, read: Reader[T]) -> T | None:
        """Like `read`; None when the thing is not there (any more)."""
        try:
            return self.read(key, read)
        except CrmError as error:
            if error.kind == "not_found":
                return None
            raise


class _OperatingBook:
    """How much execution time each method has used, as the last answers said; kept by this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, tuple[float, datetime]] = {}

    def note(self, method: str, time: object) -> None:
        """Take over `operating` and `operating_reset_at` of an answer; older portals leave them out."""
        wild = Wild(time)
        try:
            used, reset_at = wild["operating"].decimal(), wild["operating_reset_at"].unix()
        except Malformed:
            return
        with self._lock:
            self._used[method] = (float(used), reset_at)

    def blocked_for(self, method: str) -> timedelta | None:
        """How long calls of the method would be refused; None when the next one would not."""
        with self._lock:
            used, _ = self._used.get(method, (0.0, datetime.min.replace(tzinfo=UTC)))
        return self.free_in(method) if used >= OPERATING_LIMIT_S else None

    def free_in(self, method: str) -> timedelta | None:
        """How long until the oldest minute of the method drops out; None when that is past or unknown."""
        with self._lock:
            known = self._used.get(method)
        wait = known[1] - self._clock.now() if known is not None else timedelta()
        return wait + timedelta(seconds=1) if wait > timedelta() else None


def _as_map(part: object, keys: list[str]) -> dict[str, object]:
    """PHP writes a map without entries as [], and one with the keys 0..n-1 as a list."""
    if isinstance(part, dict):
        return {str(key): value for key, value in part.items()}
    if isinstance(part, list):
        return {keys[index]: value for index, value in enumerate(part) if index < len(keys)}
    return {}


def _query(params: Params) -> str:
    """Parameters in PHP's form encoding; nulls are left out, for they would travel as the text «None»."""
    return "&".join(f"{quote(key, safe='[]')}={quote(value, safe='')}" for key, value in _pairs("", params))


def _pairs(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _pairs(f"{prefix}[{key}]" if prefix else str(key), part)
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _pairs(f"{prefix}[{index}]", part)
    elif value is not None:
        yield prefix, str(value)
