"""`/api/v4/webhooks`: list, subscribe, unsubscribe. Source: reference 6.1."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from connector.sandbox.amocrm.access import require_admin
from connector.sandbox.amocrm.delivery import Delivery, Hook
from connector.sandbox.amocrm.hook_bodies import SETTINGS
from connector.sandbox.amocrm.request import INT, LIST, STRING, Batch, Call, check_types
from connector.sandbox.amocrm.wire import (
    ApiError,
    Reply,
    Violation,
    hal,
    invalid,
    no_content,
    not_a_choice,
    not_found,
    problem,
    unix,
    untyped,
)
from connector.sandbox.amocrm.world import Route, World

PATH = "/api/v4/webhooks"
MAX_HOOKS = 100
#: Symfony's name of its URL rule, which the live service shows bare.
_URL_RULE = "57c2f299-1154-4870-89bb-ef3b1f5ad229"


def routes(delivery: Delivery) -> list[Route]:
    """The three methods over the subscriptions of `delivery`."""
    api = _Webhooks(delivery)
    return [
        Route("GET", PATH, api.listing),
        Route("POST", PATH, api.subscribe),
        Route("DELETE", PATH, api.unsubscribe),
    ]


class _Webhooks:
    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def listing(self, world: World, call: Call) -> Reply:
        require_admin(world, call)
        wanted = call.filter.get("destination")
        hooks = [h for h in self._delivery.hooks.values() if wanted is None or h.destination == wanted]
        if not hooks:
            return no_content()
        return hal({"_total_items": len(hooks), "_embedded": {"webhooks": [_model(world, h) for h in hooks]}})

    def subscribe(self, world: World, call: Call) -> Reply:
        require_admin(world, call)
        item = call.item()
        Batch([item]).check(_check)
        if not is_callable(item["destination"]):
            refusal = Violation(_URL_RULE, "destination.destination", "Invalid URL")
            raise untyped(invalid({"0": [refusal]}))
        with world.portal.lock:
            now = world.portal.now()
            hook = self._find(item["destination"])
            if hook is None:
                if len(self._delivery.hooks) >= MAX_HOOKS:
                    raise ApiError(problem(400, "Webhooks limit exceeded"))
                hook_id = world.portal.new_id("amocrm_hook", 1_056_949)
                sort = len(self._delivery.hooks) + 1
                hook = Hook(hook_id, item["destination"], [], sort, now, now, call.user_id)
                self._delivery.hooks[hook_id] = hook
            elif world.switches.subscribing_enables:
                hook.disabled = False
                hook.invalid_at.clear()
            hook.settings = list(dict.fromkeys(item["settings"] or ()))
            hook.sort = item.get("sort", hook.sort)
            hook.updated_at = now
            return hal(_model(world, hook), 201)

    def unsubscribe(self, world: World, call: Call) -> Reply:
        require_admin(world, call)
        with world.portal.lock:
            hook = self._find(call.item().get("destination"))
            if hook is None:
                raise not_found("Webhook not found")
            del self._delivery.hooks[hook.id]
        return no_content()

    def _find(self, destination: object) -> Hook | None:
        return next((h for h in self._delivery.hooks.values() if h.destination == destination), None)


def _check(item: dict[str, Any]) -> list[Violation]:
    kinds = {"destination": STRING, "settings": LIST, "sort": INT}
    found = check_types(item, kinds, required=("destination", "settings"))
    if found:
        return found
    for index, code in enumerate(item["settings"] or ()):
        if not isinstance(code, str) or code not in SETTINGS:
            found.append(not_a_choice(f"settings.{index}"))
    return found


def is_callable(destination: str) -> bool:
    """Whether the service takes the address: http(s), a host, no Cyrillic and no punycode."""
    try:
        parts = urlsplit(destination)
        host = parts.hostname or ""
    except ValueError:
        return False
    clean = re.fullmatch(r"[A-Za-z0-9.-]+|[0-9a-fA-F:]+", host) is not None
    return parts.scheme in ("http", "https") and clean and "xn--" not in host and destination.isascii()


def _model(world: World, hook: Hook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "destination": hook.destination,
        "created_at": unix(hook.created_at),
        "updated_at": unix(hook.updated_at),
        "account_id": world.account_id,
        "created_by": hook.created_by,
        "sort": hook.sort,
        "disabled": hook.disabled,
        "settings": hook.settings,
    }
