"""The simulated Bitrix24 as Flask sees it: addresses, envelope, and the order in which a call is checked.

Order: https, rate limit, credentials, token expiry, method, scope, kind of auth, operating time, parameters.
Source: reference sections 1, 2.2 and 2.6.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request

from connector.clock import Clock
from connector.sandbox.bitrix24 import files
from connector.sandbox.bitrix24.call import Call, Caller, Method, Outcome, Page
from connector.sandbox.bitrix24.events import EventQueue
from connector.sandbox.bitrix24.methods.common import ALL_SCOPES
from connector.sandbox.bitrix24.oauth import OAuth
from connector.sandbox.bitrix24.offline import OfflineQueue
from connector.sandbox.bitrix24.params import Params, from_request
from connector.sandbox.bitrix24.registry import METHODS
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.switches import Switches
from connector.sandbox.bitrix24.wire import RestError, dump, moment
from connector.sandbox.faults import Faults
from connector.sandbox.state import Portal

#: Ends of names of methods that change nothing; a batch is judged by its commands.
_READS = (".list", ".get", ".fields", "batch")
_NO_READS = frozenset({"event.offline.get"})
APP_ONLY_TEXTS = {
    "WRONG_AUTH_TYPE": "Current authorization type is denied for this method",
    "ACCESS_DENIED": "Access denied! Application context required",
}


class Bitrix24:
    """One portal over HTTP.

    `webhook_scopes` are those ticked on the inbound webhook, all by default; `switches` are the doubtful
    points of the reference. Delivery of events runs between `start` and `stop`.
    """

    def __init__(
        self,
        portal: Portal,
        *,
        base_url: str,
        webhook_user_id: int,
        webhook_secret: str,
        oauth_token: str,
        member_id: str,
        application_token: str,
        faults: Faults,
        webhook_scopes: Sequence[str] = ALL_SCOPES,
        clock: Clock | None = None,
        switches: Switches | None = None,
    ) -> None:
        self.site = Site(
            portal,
            base_url.rstrip("/"),
            member_id,
            application_token,
            faults,
            clock or portal.clock,
            switches or Switches(),
        )
        self.switches = self.site.switches
        self.webhook_user_id = webhook_user_id
        self.webhook_secret = webhook_secret
        self.webhook_scopes = frozenset(webhook_scopes)
        self.oauth = OAuth(self.site, oauth_token, webhook_user_id)
        self.events = EventQueue(self.site)
        self.site.oauth, self.site.events = self.oauth, self.events
        self.site.offline = OfflineQueue(self.site)
        portal.listen(self.events.hear)

    def start(self) -> None:
        """Begin to deliver events."""
        self.events.start()

    def stop(self) -> None:
        """Stop delivering; what waits is lost, as in the real queue."""
        self.events.stop()

    def endpoints(self) -> dict[str, str]:
        """Where and with what a client reaches this portal."""
        return {
            "webhook_url": f"{self.site.rest_url}{self.webhook_user_id}/{self.webhook_secret}/",
            "oauth_token": self.oauth.first_token,
            "refresh_token": self.oauth.first_refresh_token,
            "client_id": self.oauth.client_id,
            "client_secret": self.oauth.client_secret,
            "oauth_url": f"{self.site.base_url}/oauth/token/",
            "member_id": self.site.member_id,
            "application_token": self.site.application_token,
        }

    def add_outgoing_webhook(self, url: str, events: Sequence[str]) -> int:
        """Make an outgoing webhook as a person does in the interface; its id.

        ValueError for an event that the interface does not offer.
        """
        return self.events.add_outgoing_webhook(url, events)

    def blueprint(self) -> Blueprint:
        """All addresses of the portal, absolute, to be mounted at the root."""
        bp = Blueprint("bitrix24", __name__)
        bp.add_url_rule("/rest/<path:rest>", "rest", self._rest, methods=["GET", "POST"])
        for path in ("/oauth/token/", "/oauth/token"):
            bp.add_url_rule(path, f"token{len(path)}", self._token, methods=["GET", "POST"])
        bp.add_url_rule("/oauth/authorize/", "authorize", self._authorize, methods=["GET"])
        bp.add_url_rule("/disk/downloadFile/<int:file_id>/", "download", self._download, methods=["GET"])
        return bp

    def _rest(self, rest: str) -> Response:
        if self.switches.renamed_to:
            location = request.full_path.rstrip("?")
            return Response("", 302, headers={"Location": f"{self.switches.renamed_to}{location}"})
        return self._with_faults(partial(self._answer, rest))

    def _with_faults(self, answer: Callable[[], Response]) -> Response:
        """The answer, or what a fault makes of it."""
        site = self.site
        return site.faults.around("bitrix24", site.member_id, request.method, request.path, answer)

    def _answer(self, rest: str) -> Response:
        try:
            caller, path, params = self._admit(rest)
            if path in {"download", "upload"}:
                return files.serve(self.site, caller, path, request)
            outcome = self.run(caller, path, params)
        except RestError as error:
            return _json(error.body(), error.status)
        body: dict[str, Any] = {"result": outcome.page.result}
        if outcome.page.next is not None:
            body["next"] = outcome.page.next
        if outcome.page.total is not None:
            body["total"] = outcome.page.total
        return _json({**body, "time": outcome.time}, 200)

    def _admit(self, rest: str) -> tuple[Caller, str, dict[str, Any]]:
        """The caller, the method's name and the parameters; RestError when the door stays shut."""
        parts = rest.strip("/").split("/")
        is_webhook = len(parts) >= 3 and parts[0].isdigit()
        if is_webhook and self.switches.https_required and not request.is_secure:
            raise RestError(400, "INVALID_REQUEST", "Https required.")
        if self.site.faults.limits_on and not self.site.bucket.admit(
            request.remote_addr or "",
            self.site.clock.now(),
            refused_count=self.switches.refused_requests_count,
        ):
            raise RestError(503, "QUERY_LIMIT_EXCEEDED", "Too many requests")
        params = from_request(request)
        if is_webhook:
            if (parts[0], parts[1]) != (str(self.webhook_user_id), self.webhook_secret):
                raise RestError(401, "INVALID_CREDENTIALS", "Invalid request credentials")
            caller = Caller("webhook", parts[1], self.webhook_user_id, self.webhook_scopes)
            self._check_active(caller)
            return caller, _method_name("/".join(parts[2:])), params
        # A secret without the user id is read as the method, hence «not found» and not an auth error.
        if len(parts) > 1:
            raise RestError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
        caller = self.oauth.caller(params)
        self._check_active(caller)
        return caller, _method_name(parts[0]), params

    def _check_active(self, caller: Caller) -> None:
        """Webhooks and tokens of a dismissed user stop working."""
        user = self.site.portal.users.get(caller.user_id)
        if user is not None and not user.is_active:
            raise RestError(401, "authorization_error", "Unable to authorize user")

    def run(self, caller: Caller, name: str, data: dict[str, Any], *, nested: bool = False) -> Outcome:
        """Carry out one method, alone or as a command of a batch."""
        method = find_method(caller, name)
        if nested and not method.in_batch:
            raise RestError(405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
        billed = self._is_billed(is_batch=method.name == "batch", nested=nested)
        key = (caller.kind, caller.id, method.name.lower())
        now = self.site.clock.now()
        if billed and self.site.faults.limits_on and self.site.operating.is_blocked(key, now):
            raise RestError(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
        started, clock_started = time.time(), time.perf_counter()
        params = Params(data, any_case=method.any_case)
        connector = params.get("auth_connector")
        with self.site.acting_as(str(connector) if connector else None):
            call = Call(
                self.site, caller, method.name, params, partial(self.run, caller, nested=True), METHODS
            )
            # A call is a transaction: what it read is still so when it writes.
            with self.site.portal.lock if method.in_batch else nullcontext():
                try:
                    answer = method.run(call)
                finally:
                    if method.name in _NO_READS or not method.name.endswith(_READS):
                        # A field or a link may have changed, which no revision tells.
                        self.site.portal.queries.forget()
        page = answer if isinstance(answer, Page) else Page(answer)
        spent = self.switches.method_cost_s.get(method.name.lower(), time.perf_counter() - clock_started)
        if billed:
            self.site.operating.add(key, now, spent)
        return Outcome(page, self._time_block(started, spent, *self.site.operating.state(key, now)))

    def _is_billed(self, *, is_batch: bool, nested: bool) -> bool:
        if self.switches.batch_billing == "measured":
            return not nested
        return not is_batch

    def _time_block(self, started: float, spent: float, operating: float, reset_at: int) -> dict[str, Any]:
        finish = started + spent
        return {
            "start": started,
            "finish": finish,
            "duration": spent,
            "processing": spent,
            "date_start": moment(datetime.fromtimestamp(started, self.site.zone), self.site.zone),
            "date_finish": moment(datetime.fromtimestamp(finish, self.site.zone), self.site.zone),
            "operating_reset_at": reset_at,
            "operating": operating,
        }

    def _token(self) -> Response:
        return self._with_faults(self._new_tokens)

    def _new_tokens(self) -> Response:
        status, body = self.oauth.token(from_request(request))
        return _json(body, status)

    def _authorize(self) -> Response:
        """The browser's part of OAuth, with the person already signed in: straight back with a code."""
        target = request.args.get("redirect_uri", "")
        if request.args.get("client_id") != self.oauth.client_id or not target.startswith("http"):
            return Response("unknown application", 400, content_type="text/plain")
        code = self.oauth.issue_code(self.webhook_user_id)
        query = {
            "code": code,
            "state": request.args.get("state", ""),
            "domain": self.site.host,
            "member_id": self.site.member_id,
            "scope": ",".join(self.oauth.scopes),
            "server_domain": self.site.host,
        }
        joined = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        mark = "&" if "?" in target else "?"
        return Response("", 302, headers={"Location": f"{target}{mark}{joined}"})

    def _download(self, file_id: int) -> Response:
        return files.download(self.site, file_id, request.args.get("token", ""))


def find_method(caller: Caller, name: str) -> Method:
    """The method, if there is one and this caller may call it."""
    method = METHODS.get(name.lower())
    if method is None:
        raise RestError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
    if not caller.has_scope(method.scope):
        owner = "webhook token" if caller.kind == "webhook" else "access token"
        text = f"The request requires higher privileges than provided by the {owner}"
        raise RestError(401, "insufficient_scope", text)
    if method.app_only and caller.kind == "webhook":
        raise RestError(403, method.app_only, APP_ONLY_TEXTS[method.app_only])
    return method


def _method_name(path: str) -> str:
    return path.removesuffix(".json")


def _json(body: Any, status: int) -> Response:
    return Response(dump(body), status, content_type="application/json; charset=utf-8")
