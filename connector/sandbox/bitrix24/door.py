"""Who may come in: https, rate limit, a door shut by the vendor, credentials, method, scope, kind of auth.

In that order (the portal's own is unverified). Source: reference sections 1.1, 1.2, 2.6 and 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Request

from connector.sandbox.bitrix24.call import Caller, Method
from connector.sandbox.bitrix24.params import from_request
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError

#: Answers to every call while `switches.refuse_with` names them: status and text.
REFUSALS: Final = {
    "ACCESS_DENIED": (403, "REST is available only on commercial plans."),
    "APPLICATION_NOT_FOUND": (401, "Application not found"),
    "ERROR_OAUTH": (401, "Application not installed"),
    "INTERNAL_SERVER_ERROR": (500, "Internal server error"),
    "ERROR_UNEXPECTED_ANSWER": (500, "Server returned an unexpected response"),
    "METHOD_CONFIRM_WAITING": (401, "Waiting for confirmation"),
    "OVERLOAD_LIMIT": (503, "REST API is blocked due to overload."),
    "PAYMENT_REQUIRED": (401, "Subscription has been ended"),
    "allowed_only_intranet_user": (403, "Action is allowed only for intranet users"),
    "user_access_error": (403, "The user does not have access to the application."),
}

_APP_ONLY_TEXTS: Final = {
    "WRONG_AUTH_TYPE": "Current authorization type is denied for this method",
    "ACCESS_DENIED": "Access denied! Application context required",
}


def method_not_found() -> RestError:
    return RestError(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")


@dataclass(frozen=True, slots=True)
class Entrance:
    """A request that came in: who, which method, with what, and how the answer is to be written."""

    caller: Caller
    method: str
    params: dict[str, Any]


@dataclass(slots=True)
class Door:
    """The portal's door; `scopes` are those ticked on the inbound webhook."""

    site: Site
    user_id: int
    secret: str
    scopes: frozenset[str]

    def admit(self, rest: str, request: Request) -> Entrance:
        """`rest` is the path behind `/rest/`, without its ending; RestError when the door stays shut."""
        parts = [part for part in rest.split("/") if part] or [""]
        is_webhook = len(parts) >= 3 and parts[0].isdigit()
        if is_webhook and self.site.switches.https_required and not request.is_secure:
            raise RestError(400, "INVALID_REQUEST", "Https required.")
        self._check_rate(request.remote_addr or "")
        self._check_refusal()
        params = from_request(request)
        if is_webhook:
            caller, method = self._webhook(parts[0], parts[1]), "/".join(parts[2:])
        elif len(parts) > 1:
            # A secret without the user id is read as the method, hence «not found» and not an auth error.
            raise method_not_found()
        else:
            caller, method = self.site.oauth.caller(params), parts[0]
        self._check_active(caller)
        return Entrance(caller, method, params)

    def _check_rate(self, source: str) -> None:
        site = self.site
        if site.faults.limits_on and not site.bucket.admit(
            source,
            site.clock.now(),
            refused_count=site.switches.refused_requests_count,
            enterprise=site.switches.plan == "enterprise",
        ):
            raise RestError(503, "QUERY_LIMIT_EXCEEDED", "Too many requests")

    def _check_refusal(self) -> None:
        code = self.site.switches.refuse_with
        if code == "PORTAL_DELETED":
            raise RestError(self.site.switches.portal_deleted_status, code, "Portal was deleted")
        if code:
            status, text = REFUSALS[code]
            raise RestError(status, code, text)

    def _webhook(self, user_id: str, secret: str) -> Caller:
        if (user_id, secret) != (str(self.user_id), self.secret) or self.site.switches.webhook_is_over:
            status = self.site.switches.invalid_credentials_status
            raise RestError(status, "INVALID_CREDENTIALS", "Invalid request credentials")
        return Caller("webhook", secret, self.user_id, self.scopes)

    def _check_active(self, caller: Caller) -> None:
        """Webhooks and tokens of a dismissed user stop working."""
        user = self.site.portal.users.get(caller.user_id)
        if user is not None and not user.is_active:
            raise RestError(401, "authorization_error", "Unable to authorize user")


def find_method(site: Site, methods: Mapping[str, Method], caller: Caller, name: str) -> Method:
    """The method, if there is one and this caller may call it."""
    method = methods.get(name.lower())
    if method is None:
        raise method_not_found()
    if not caller.has_scope(method.scope):
        owner = "webhook token" if caller.kind == "webhook" else "access token"
        text = f"The request requires higher privileges than provided by the {owner}"
        raise RestError(site.switches.insufficient_scope_status, "insufficient_scope", text)
    if method.app_only and caller.kind == "webhook":
        raise RestError(403, method.app_only, _APP_ONLY_TEXTS[method.app_only])
    return method
