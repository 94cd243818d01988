"""The amoCRM dialect of one sandbox account: its parts wired, its addresses served.

Every request goes one way: faults, block, token, limit, handler. Nothing of
`connector.crm` is known here; the two meet over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, RequestRedirect, Rule

from connector.sandbox.amocrm import (
    account,
    admin,
    catalogs,
    custom_fields,
    leads,
    links,
    notes,
    people,
    pipelines,
    tasks,
    webhooks,
)
from connector.sandbox.amocrm import events as event_api
from connector.sandbox.amocrm.bots import Bots
from connector.sandbox.amocrm.by_hand import hand_actions
from connector.sandbox.amocrm.chat_templates import ChatTemplates
from connector.sandbox.amocrm.complex import Complex
from connector.sandbox.amocrm.customers import Customers
from connector.sandbox.amocrm.delivery import Delivery
from connector.sandbox.amocrm.digital_pipeline import DigitalPipeline
from connector.sandbox.amocrm.drive import Drive
from connector.sandbox.amocrm.events import EventLog
from connector.sandbox.amocrm.extras import Extras
from connector.sandbox.amocrm.field_groups import FieldGroups
from connector.sandbox.amocrm.gate import RateGate
from connector.sandbox.amocrm.hook_bodies import Notice
from connector.sandbox.amocrm.oauth import Oauth
from connector.sandbox.amocrm.oauth_admin import oauth_actions
from connector.sandbox.amocrm.oauth_hooks import OauthHooks
from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.sources import Sources
from connector.sandbox.amocrm.switches import Switches
from connector.sandbox.amocrm.talks import Talks
from connector.sandbox.amocrm.transport import read_body, read_call, to_response
from connector.sandbox.amocrm.unsorted import Arrivals
from connector.sandbox.amocrm.users import Staff
from connector.sandbox.amocrm.wire import ApiError, Reply, html, problem
from connector.sandbox.amocrm.world import Handler, Route, World
from connector.sandbox.faults import Faults
from connector.sandbox.state import Portal

_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
_PREFIXES = ("/api/v4", "/api/v2", "/oauth2", "/v1.0", "/download")
#: Answered without a Bearer token: a secret is in the address or in the body.
_OPEN = ("/oauth2/", "/oauth", "/download/", "/v1.0/sessions/upload/")


class AmoCrm:
    """One account of the sandbox as amoCRM. `token` is the long-lived token of an admin.

    Parts that tests and the board look at: `world`, `delivery`, `oauth`, `events`, `drive`, `gate`.
    """

    def __init__(
        self,
        portal: Portal,
        *,
        base_url: str,
        token: str,
        account_id: int,
        faults: Faults,
        subdomain: str = "sandbox",
        switches: Switches | None = None,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self.world = World(portal, base_url.rstrip("/"), account_id, subdomain, switches or Switches())
        self.faults = faults
        self.oauth = Oauth(self.world, token)
        self.oauth_hooks = OauthHooks(self.oauth)
        self.gate = RateGate(monotonic or portal.clock.monotonic, self.world.switches)
        self.delivery = Delivery(self.world, faults)
        self.events = EventLog(self.world)
        self.world.announce = lambda code, body: self.delivery.tell(Notice(code, body=body))
        self.world.record = self.events.record
        self.triggers = DigitalPipeline(self.world, self.delivery)
        self.staff = Staff(self.world)
        self.sources = Sources(self.world)
        self.extras = Extras(self.world)
        self.field_groups = FieldGroups(self.world)
        self.customers = Customers(self.world)
        self.chat_templates = ChatTemplates(self.world)
        self.drive = Drive(self.world)
        self.arrivals = Arrivals()
        self.talks = Talks(self.world, self.triggers.chat)
        self.bots = Bots(self.world, self._sign_run)
        self._map = Map(
            [Rule(r.rule, methods=[r.method], endpoint=r.handler) for r in self._routes()],
            strict_slashes=False,
            merge_slashes=False,
        )

    def _routes(self) -> list[Route]:
        return [
            *self.oauth.routes(),
            *self.oauth_hooks.routes(),
            *account.ROUTES,
            *pipelines.ROUTES,
            *self.staff.routes(),
            *self.sources.routes(),
            *self.extras.routes(),
            *self.field_groups.routes(),
            *self.customers.routes(),
            *self.chat_templates.routes(),
            *leads.ROUTES,
            *people.ROUTES,
            *tasks.ROUTES,
            *links.ROUTES,
            *custom_fields.ROUTES,
            *catalogs.ROUTES,
            *Complex(self.arrivals).routes(),
            *self.arrivals.routes(),
            *self.bots.routes(),
            *self.talks.routes(),
            *notes.ROUTES,
            *webhooks.routes(self.delivery),
            *event_api.routes(self.events),
            *self.drive.routes(),
        ]

    def _sign_run(self, claims: Mapping[str, Any]) -> str:
        return self.oauth_hooks.disposable_token(self.world.api_user_id, claims)

    def start(self) -> None:
        """Start sending webhooks."""
        self.delivery.start()

    def stop(self) -> None:
        self.delivery.stop()

    def endpoints(self) -> dict[str, Any]:
        """What a client needs to know to connect."""
        return {
            "base_url": self.world.base_url,
            "token": self.oauth.token,
            "account_id": self.world.account_id,
            "subdomain": self.world.subdomain,
            "client_id": self.oauth.client_id,
            "client_secret": self.oauth.client_secret,
        }

    def blueprint(self) -> Blueprint:
        """All addresses, absolute; to be mounted at the root."""
        bp = Blueprint("amocrm", __name__)

        def serve(rest: str = "") -> Response:
            return self._serve()

        for number, prefix in enumerate(_PREFIXES):
            bp.add_url_rule(f"{prefix}/<path:rest>", f"serve_{number}", serve, methods=_METHODS)
        bp.add_url_rule("/oauth", "consent", serve, methods=["GET"])
        bp.register_blueprint(admin.blueprint(self.world, self._actions()))
        return bp

    def _actions(self) -> dict[str, admin.Action]:
        """What a test does in place of people, support and amoCRM itself; see `admin`."""
        return {
            "unblock": lambda _: self.gate.unblock(),
            **oauth_actions(self.oauth, self.oauth_hooks),
            "pipeline-hooks": self.triggers.add,
            "messages": self.talks.message,
            "short-links/follow": self.extras.follow,
            "enquiries": lambda body: self.arrivals.from_chat(self.world, body),
            **hand_actions(self.world),
        }

    def _serve(self) -> Response:
        call = read_call(request)
        return self.faults.around(
            "amocrm",
            str(self.world.account_id),
            call.method,
            call.path,
            lambda: to_response(self._answer(call), request, may_pack=self.world.switches.packs_answers),
        )

    def _answer(self, call: Call) -> Reply:
        try:
            refusal = self._not_here(call) or self._let_in(call)
            if refusal is not None:
                return refusal
            handler, arguments = self._match(call)
            call.body = read_body(request)
            call.whole_floats_are_ints = self.world.switches.whole_floats_are_ints
            try:
                return handler(self.world, call, **arguments)
            finally:
                if call.method != "GET":
                    # A field or a tag may have changed, which no revision tells.
                    self.world.portal.queries.forget()
        except ApiError as error:
            return error.reply

    def _not_here(self, call: Call) -> Reply | None:
        """What the old host of a moved account answers to all but the question where it is now."""
        if request.host not in self.oauth.old_hosts or call.path.endswith("/account/current/subdomain"):
            return None
        is_known = self.world.switches.old_host_status == "404"
        return problem(404, "Account not found") if is_known else problem(401, "Account not found")

    def _let_in(self, call: Call) -> Reply | None:
        token = _bearer(call.headers.get("Authorization", ""))
        user_id = self.oauth.user_of(token) if token else None
        # The limit is the integration's, whichever of its tokens comes; strangers are told by address.
        client = self.oauth.client_id if user_id is not None else (request.remote_addr or "")
        if call.path.startswith(_OPEN):
            blocked = self.faults.limits_on and self.gate.is_blocked(self.oauth.client_id)
            return html(403, "Forbidden") if blocked and call.path.startswith("/oauth") else None
        # The drive is another host in life, with no documented limit.
        if self.faults.limits_on and call.path.startswith("/api/"):
            refusal = self.gate.refusal(client)
            if refusal is not None:
                return refusal
        if user_id is None:
            return problem(401, "Неверный логин или пароль")
        context = call.headers.get("X-Context-User-ID")
        if context is not None:
            known = self.world.user(int(context)) if context.isdigit() and len(context) < 19 else None
            if known is None or not known.is_active:
                return problem(403, "Forbidden")
            user_id = known.id
        call.user_id = user_id
        return None

    def _match(self, call: Call) -> tuple[Handler, dict[str, Any]]:
        adapter = self._map.bind(urlsplit(self.world.base_url).netloc or "localhost")
        try:
            handler, arguments = adapter.match(call.path, method=call.method)
        except MethodNotAllowed as error:
            allowed = ", ".join(sorted(set(error.valid_methods or ()) - {"HEAD"}))
            reply = problem(405, "Method Not Allowed")
            raise ApiError(Reply(405, reply.body, reply.content_type, {"Allow": allowed})) from None
        except (HTTPException, RequestRedirect):
            raise ApiError(problem(404, "Page not found.")) from None
        return handler, dict(arguments)


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
