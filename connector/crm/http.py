"""The only user of requests: one account's calls with time limits, the shared rate limit, a retry budget,
error kinds and masked secrets.

Must not know any CRM's methods or fields: what a CRM's error body means is handed in as `ErrorRules`.
"""

from __future__ import annotations

import email.utils
import json
import logging
import random
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError, NewConnectionError

from connector.clock import Clock
from connector.crm.arrivals import Arrivals
from connector.crm.masking import hide_urls_in_library_logs, mask
from connector.errors import CrmError, CrmErrorKind, RetryLater

log = logging.getLogger(__name__)

#: Longest wait inside a call, unless the caller has more patience; a longer one gives the work back to the
#: queue (RetryLater).
MAX_TURN_WAIT = timedelta(seconds=5)

#: How often and how long one call may be tried before its job is put back.
MAX_ATTEMPTS = 4
RETRY_BUDGET = timedelta(seconds=10)

#: How many places in the rate one request may let pass, one after another, on a machine that is too busy.
MAX_TURNS = 5

#: Connections to one host that all threads of a process share and keep open.
CONNECTIONS = 16

#: What a refusal without a delay of its own costs everybody who shares the limit.
DEFAULT_PUSH_BACK = timedelta(seconds=1)

#: amoCRM's answer to a client that ignored its 429s is an HTML 403 that only time or support lifts.
BLOCKED_PAUSE = timedelta(minutes=15)

#: No delay of a server's own is believed beyond this, however it was meant: a front with a wrong clock, or
#: one that counts milliseconds, must not silence an account for days. A CRM that means more says so again.
LONGEST_DELAY = timedelta(hours=1)

BY_STATUS: dict[int, CrmErrorKind] = {
    401: "reauth",
    402: "config",
    403: "config",
    404: "not_found",
    408: "retry",
    410: "config",
    429: "retry",
}


class RateLimiter(Protocol):
    """The account's shared limit, whatever keeps it. `is_kept` is False where nothing is limited."""

    @property
    def is_kept(self) -> bool: ...

    def acquire(
        self, key: str, *, rate_per_s: float, burst: int, max_wait: timedelta, spare: int = 0
    ) -> timedelta:
        """How long to wait before sending; RetryLater when that exceeds `max_wait`. `spare` places of the
        burst are left to the others."""

    def push_back(self, key: str, until: datetime) -> None:
        """Let nobody send before `until`."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit as the CRM states it, with headroom. `key` is shared by all who spend from it.

    `most`: how many requests may reach the CRM within any second, where it counts so; 0 where it does not.
    """

    key: str
    per_second: float
    burst: int
    most: int = 0

    @property
    def latest(self) -> timedelta:
        """How late after its turn a request may still leave.

        Without a burst lateness counts: a late request and a punctual one after it stand closer than the rate
        allows, and the headroom is for the network's share of that. A bucket with room takes any.
        """
        return timedelta(seconds=1 / 3 / self.per_second) if self.burst == 1 else timedelta.max


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error body says. `refused` means that the call was turned away before anything was done."""

    code: str
    detail: str = ""
    refused: bool = False
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ErrorRules:
    """How one CRM tells errors. `read` gives None for a body that is no error.

    `by_code` (keys in upper case) is asked before the HTTP status.
    """

    read: Callable[[int, object], Fault | None]
    by_code: Mapping[str, CrmErrorKind]


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: `data` is the parsed JSON with Decimal for fractions, None when the body is empty."""

    status: int
    data: Any


class HttpSession:
    """Calls of one account. Safe to share between threads.

    `secrets` are replaced wherever they could be seen; `follow_moves` repeats a call at the host that a
    redirect with the same path names. `patience`: how long a call may wait for its turn, and for a CRM that
    names a delay, before the work is given back.
    """

    def __init__(
        self,
        account: str,
        *,
        limiter: RateLimiter,
        rate: Rate,
        clock: Clock,
        rules: ErrorRules,
        secrets: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        timeout_s: tuple[float, float] = (5, 30),
        follow_moves: bool = False,
        patience: timedelta = MAX_TURN_WAIT,
        rng: random.Random | None = None,
    ) -> None:
        self._account = account
        self._limiter = limiter
        self._rate = rate
        self._clock = clock
        self._rules = rules
        self._secrets = tuple(secrets)
        self._hidden: deque[str] = deque(maxlen=8)
        self._headers = {"User-Agent": "Connector", **(headers or {})}
        self._timeout_s = timeout_s
        self._follow_moves = follow_moves
        self._patience = patience
        self._retry_budget = max(RETRY_BUDGET, patience)
        self._rng = rng or random.Random()
        self._moved: dict[str, str] = {}
        self._local = threading.local()
        self._arrivals: dict[str, Arrivals] = {}
        self._connections = HTTPAdapter(pool_maxsize=CONNECTIONS)
        hide_urls_in_library_logs()

    def send(
        self,
        method: str,
        url: str,
        *,
        call: str,
        repeatable: bool,
        params: Mapping[str, object] | Sequence[tuple[str, object]] | None = None,
        json_body: object = None,
        body: bytes | None = None,
        rate: Rate | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call; `call` names it in errors and logs, `rate` is another limit than the account's.

        `repeatable` says that doing it twice does no harm. Others are repeated only after an answer that
        proves that nothing was done. Raises CrmError, and RetryLater when the rate limit is used up.
        """
        rate = rate or self._rate
        spent = timedelta()
        for attempt in range(1, MAX_ATTEMPTS + 1):
            with self._turn(rate, call):
                outcome = self._try(method, url, call, params, json_body, body, rate, headers)
            if isinstance(outcome, Answer):
                return outcome
            if isinstance(outcome, _Moved):
                continue
            delay = outcome.error.retry_after or self._backoff(attempt)
            spent += delay
            again = outcome.error.kind == "retry" and (repeatable or outcome.harmless)
            if not again or attempt == MAX_ATTEMPTS or spent > self._retry_budget:
                raise outcome.error
            log.warning(
                "%s failed, trying again in %.1f s",
                call,
                delay.total_seconds(),
                extra={
                    "action": "crm_retry",
                    "account": self._account,
                    "status": outcome.error.status,
                    "code": outcome.error.code,
                },
            )
            self._clock.sleep(delay)
        raise self._error("config", call, detail="the address keeps redirecting")

    @contextmanager
    def _turn(self, rate: Rate, call: str) -> Iterator[None]:
        """A turn to make one call in; entering waits for it."""
        self._take_place(rate)
        arrivals = self._arrivals_of(rate)
        if arrivals is None:
            yield
            return
        while isinstance(entered := arrivals.enter(call), timedelta):
            self._clock.sleep(entered)
        try:
            yield
        finally:
            arrivals.leave(entered)

    def _arrivals_of(self, rate: Rate) -> Arrivals | None:
        if not rate.most or not self._limiter.is_kept:
            return None
        return self._arrivals.setdefault(rate.key, Arrivals(rate.most, timedelta(seconds=1), self._clock))

    def _take_place(self, rate: Rate) -> None:
        """Wait for a place in the rate; one that a busy machine let pass is given up for the next."""
        for _ in range(MAX_TURNS):
            wait = self._limiter.acquire(
                rate.key, rate_per_s=rate.per_second, burst=rate.burst, max_wait=self._patience
            )
            due = self._clock.now() + wait
            self._clock.sleep(wait)
            if self._clock.now() - due <= rate.latest:
                return

    def wait_out(self, wait: timedelta) -> None:
        """Let `wait` pass where there is patience enough; RetryLater where there is not."""
        if wait > self._patience:
            raise RetryLater(wait)
        self._clock.sleep(wait)

    def hide(self, secret: str) -> None:
        """Mask `secret`, too, from now on; of those told here the latest few are remembered."""
        if secret and secret not in self._hidden:
            self._hidden.append(secret)

    def mask(self, text: str) -> str:
        """`text` without the secrets of this account and without anything that looks like one."""
        return mask(text, (*self._secrets, *self._hidden))

    def _try(
        self,
        method: str,
        url: str,
        call: str,
        params: Mapping[str, object] | Sequence[tuple[str, object]] | None,
        json_body: object,
        body: bytes | None,
        rate: Rate,
        headers: Mapping[str, str] | None,
    ) -> Answer | _Moved | _Failure:
        try:
            response = self._session().request(
                method,
                self._current(url),
                params=params,  # type: ignore[arg-type]
                json=json_body,
                data=body,
                headers=headers,
                timeout=self._timeout_s,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # The exception's own text holds the address, which may be a secret.
            detail = f"no answer: {type(error).__name__}"
            return _Failure(self._error("retry", call, detail=detail), harmless=_was_never_sent(error))
        log.debug("%s answered %s", call, response.status_code, extra={"action": "crm_call"})
        if response.is_redirect:
            return self._redirect(response, call)
        return self._judge(response, call, rate)

    def _judge(self, response: requests.Response, call: str, rate: Rate) -> Answer | _Failure:
        """An answer or what is wrong with it: the CRM's own code first, then the HTTP status."""
        status = response.status_code
        readable, data = _parse(response)
        fault = self._rules.read(status, data) if readable else None
        if fault is None and readable and status < 400:
            return Answer(status, data)
        own_delay = _retry_after(response, self._clock.now())
        if not readable:
            return self._unreadable(status, call, own_delay, rate)
        fault = fault or Fault("")
        kind = self._rules.by_code.get(fault.code.upper()) or _kind_of(status)
        refused = fault.refused or (status == 429 and not fault.code)
        delay = own_delay or fault.retry_after
        # A fault with a delay of its own that refused nothing else concerns one method, not the account.
        if refused or (kind == "retry" and status in (429, 503) and fault.retry_after is None):
            self._push_back(rate, delay or DEFAULT_PUSH_BACK)
        return _Failure(
            self._error(kind, call, code=fault.code, status=status, detail=fault.detail, retry_after=delay),
            harmless=refused,
        )

    def _unreadable(self, status: int, call: str, own_delay: timedelta | None, rate: Rate) -> _Failure:
        """HTML or nothing where JSON should be: an overloaded or blocking front, so temporary."""
        if status == 401:
            return _Failure(self._error("reauth", call, status=status), harmless=True)
        delay = own_delay
        if status == 403:
            delay = own_delay or BLOCKED_PAUSE
        if status in (403, 429, 503):
            self._push_back(rate, delay or DEFAULT_PUSH_BACK)
        error = self._error("retry", call, status=status, detail="the answer is not JSON", retry_after=delay)
        return _Failure(error, harmless=status in (403, 429))

    def _redirect(self, response: requests.Response, call: str) -> _Moved | _Failure:
        """Remember the new host of a renamed account; the library would have lost the body on the way."""
        asked = urlsplit(response.request.url or "")
        told = urlsplit(response.headers.get("Location", ""))
        same_place = told.path.rstrip("/") == asked.path.rstrip("/")
        safe = told.scheme == "https" or told.scheme == asked.scheme
        if not (self._follow_moves and same_place and safe and told.netloc and told.netloc != asked.netloc):
            error = self._error(
                "config", call, status=response.status_code, detail="the address redirects elsewhere"
            )
            return _Failure(error, harmless=True)
        self._moved[asked.netloc] = f"{told.scheme}://{told.netloc}"
        log.warning(
            "the account answers at %s now: change its address in the settings",
            told.hostname,
            extra={"action": "crm_moved", "account": self._account},
        )
        return _Moved()

    def _current(self, url: str) -> str:
        """`url` at the host where the account lives now."""
        for _ in range(3):
            parts = urlsplit(url)
            moved = self._moved.get(parts.netloc)
            if moved is None:
                break
            base = urlsplit(moved)
            url = urlunsplit((base.scheme, base.netloc, parts.path, parts.query, parts.fragment))
        return url

    def _push_back(self, rate: Rate, delay: timedelta) -> None:
        self._limiter.push_back(rate.key, self._clock.now() + delay)

    def _backoff(self, attempt: int) -> timedelta:
        """0.5, 1, 2 … seconds, shortened by chance so that workers do not come back together."""
        return timedelta(seconds=0.5 * 2 ** (attempt - 1) * self._rng.uniform(0.5, 1))

    def _error(
        self,
        kind: CrmErrorKind,
        call: str,
        *,
        code: str = "",
        status: int | None = None,
        detail: str = "",
        retry_after: timedelta | None = None,
    ) -> CrmError:
        return CrmError(
            kind,
            account=self._account,
            call=call,
            code=self.mask(code)[:60],
            status=status,
            detail=self.mask(detail)[:300],
            retry_after=retry_after,
        )

    def _session(self) -> requests.Session:
        """One library session a thread over the connections of all: these are kept open and reused by
        whoever comes next, state is not shared."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.mount("https://", self._connections)
            session.mount("http://", self._connections)
            session.headers.update(self._headers)
            # Without an auth of its own a session takes one from .netrc and sends it in place of the token.
            session.auth = _keep_headers
            self._local.session = session
        return session


@dataclass(frozen=True, slots=True)
class _Moved:
    """The call has to be repeated at another host; nothing was done."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed try; `harmless` when it is certain that nothing was done."""

    error: CrmError
    harmless: bool


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _kind_of(status: int) -> CrmErrorKind:
    return BY_STATUS.get(status, "retry" if status >= 500 else "rejected")


def _parse(response: requests.Response) -> tuple[bool, Any]:
    """(True, data) for JSON and for the empty bodies that are legal; (False, None) for anything else."""
    if not response.content.strip():
        return response.status_code in (201, 202, 204), None
    try:
        return True, json.loads(response.content, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return False, None


def _no_number(word: str) -> Any:
    """NaN and Infinity are no JSON, and no amount that may reach a figure."""
    raise ValueError(word)


def _retry_after(response: requests.Response, now: datetime) -> timedelta | None:
    """The server's own delay, from seconds or a date, at most LONGEST_DELAY; None without a readable one."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return min(timedelta(seconds=int(text)), LONGEST_DELAY)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta()), LONGEST_DELAY)


def _was_never_sent(error: requests.RequestException) -> bool:
    """True when no connection came about, so that the server cannot have done anything."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError):
        return True
    reason = error.args[0] if error.args else None
    return isinstance(reason, MaxRetryError) and isinstance(reason.reason, NewConnectionError)
