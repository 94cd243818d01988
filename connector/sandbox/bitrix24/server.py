"""The simulated Bitrix24 as Flask sees it: addresses, envelope, endings of names, OAuth pages, files.

What comes in is checked in `door`, carried out in `dispatch`. Source: reference sections 1, 2.1 and 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from flask import Blueprint, Response, request

from connector.clock import Clock
from connector.sandbox.bitrix24 import files
from connector.sandbox.bitrix24.application import Application
from connector.sandbox.bitrix24.automation import Automation
from connector.sandbox.bitrix24.call import Outcome
from connector.sandbox.bitrix24.control import Control
from connector.sandbox.bitrix24.dispatch import Dispatch
from connector.sandbox.bitrix24.door import Door
from connector.sandbox.bitrix24.events import EventQueue
from connector.sandbox.bitrix24.life import AppLife
from connector.sandbox.bitrix24.methods.common import ALL_SCOPES
from connector.sandbox.bitrix24.oauth import OAuth
from connector.sandbox.bitrix24.offline import OfflineQueue
from connector.sandbox.bitrix24.params import from_request
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.switches import Switches
from connector.sandbox.bitrix24.wire import RestError, dump, dump_xml
from connector.sandbox.faults import Faults
from connector.sandbox.state import Portal

#: Names of the vendor's OAuth servers, for clients that cannot be told of another one.
OAUTH_HOSTS: Final = frozenset({"oauth.bitrix.info", "oauth.bitrix24.tech"})
_FILE_ACTIONS: Final = frozenset({"download", "upload"})


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
            Application(application_token),
            faults,
            clock or portal.clock,
            switches or Switches(),
        )
        self.switches = self.site.switches
        self.webhook_user_id = webhook_user_id
        self.webhook_secret = webhook_secret
        self._door = Door(self.site, webhook_user_id, webhook_secret, frozenset(webhook_scopes))
        self._dispatch = Dispatch(self.site)
        self.oauth = self.site.oauth = OAuth(self.site, oauth_token, webhook_user_id)
        self.events = self.site.events = EventQueue(self.site)
        self.site.offline = OfflineQueue(self.site)
        self.automation = self.site.automation = Automation(self.site)
        self.life = AppLife(self.site, webhook_user_id)
        self._control = Control(self.site, self.life)
        portal.listen(self.events.hear)
        portal.listen(self.automation.hear)

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
            "application_token": self.site.application.token,
        }

    def add_outgoing_webhook(self, url: str, events: Sequence[str]) -> int:
        """Make an outgoing webhook as a person does in the interface; its id.

        ValueError for an event that the interface does not offer.
        """
        return self.events.add_outgoing_webhook(url, events)

    def blueprint(self) -> Blueprint:
        """All addresses of the portal, absolute, to be mounted at the root."""
        bp = Blueprint("bitrix24", __name__)
        # b24jssdk writes `/rest//method` as an application; the portal takes it, where Flask would redirect.
        for path, name in (("/rest/<path:rest>", "rest"), ("/rest//<path:rest>", "rest_doubled")):
            bp.add_url_rule(path, name, self._rest, methods=["GET", "POST"], merge_slashes=False)
        for path in ("/oauth/token/", "/oauth/token"):
            bp.add_url_rule(path, f"token{len(path)}", self._token, methods=["GET", "POST"])
        bp.add_url_rule("/oauth/authorize/", "authorize", self._authorize, methods=["GET"])
        bp.add_url_rule("/disk/downloadFile/<int:file_id>/", "download", self._download, methods=["GET"])
        bp.register_blueprint(self._control.blueprint())
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
        path, write = _ending(rest)
        try:
            if request.host.partition(":")[0] in OAUTH_HOSTS:
                return write(self._oauth_method(path), 200)
            entrance = self._door.admit(path, request)
            if entrance.method in _FILE_ACTIONS:
                return files.serve(self.site, entrance.caller, entrance.method, request)
            outcome = self._dispatch.run(entrance.caller, entrance.method, entrance.params)
        except RestError as error:
            return write(error.body(), error.status)
        return write(_envelope(outcome), 200)

    def _oauth_method(self, path: str) -> dict[str, Any]:
        """The few methods of the OAuth server itself; `app.info` is the one that clients call."""
        if path.lower() != "app.info":
            raise RestError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
        return {"result": self.oauth.app_info(from_request(request)), "time": self._dispatch.blank_time()}

    def _token(self) -> Response:
        return self._with_faults(self._new_tokens)

    def _new_tokens(self) -> Response:
        status, body = self.oauth.token(from_request(request))
        return _json(body, status)

    def _authorize(self) -> Response:
        """The browser's part of OAuth, with the person already signed in: straight back with a code.

        `redirect_uri` is optional: without it the application's own address is taken.
        """
        target = request.args.get("redirect_uri") or self.site.application.handler_url
        if request.args.get("client_id") != self.oauth.client_id or not target.startswith("http"):
            return Response("unknown application", 400, content_type="text/plain")
        code = self.oauth.issue_code(self.webhook_user_id)
        query = {
            "code": code,
            "state": request.args.get("state", ""),
            "domain": self.site.host,
            "member_id": self.site.member_id,
            "scope": ",".join(self.oauth.scopes),
            "server_domain": self.site.oauth_host,
        }
        joined = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        mark = "&" if "?" in target else "?"
        return Response("", 302, headers={"Location": f"{target}{mark}{joined}"})

    def _download(self, file_id: int) -> Response:
        return files.download(self.site, file_id, request.args.get("token", ""))


def _envelope(outcome: Outcome) -> dict[str, Any]:
    body: dict[str, Any] = {"result": outcome.page.result}
    if outcome.page.next is not None:
        body["next"] = outcome.page.next
    if outcome.page.total is not None:
        body["total"] = outcome.page.total
    return {**body, "time": outcome.time}


Write = Callable[[Any, int], Response]


def _ending(rest: str) -> tuple[str, Write]:
    """The path without `.json` or `.xml`, and how the answer is written for it."""
    bare = rest.strip("/")
    lower = bare.lower()
    if lower.endswith(".xml"):
        return bare[:-4], _xml
    return (bare[:-5] if lower.endswith(".json") else bare), _json


def _json(body: Any, status: int) -> Response:
    return Response(dump(body), status, content_type="application/json; charset=utf-8")


def _xml(body: Any, status: int) -> Response:
    return Response(dump_xml(body), status, content_type="text/xml; charset=utf-8")
