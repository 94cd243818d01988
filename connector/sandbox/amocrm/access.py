"""Who may call what: admins; integrations that are not external. Source: reference 1.2, 4.8, 4.16, 6.1."""

from __future__ import annotations

from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.wire import ApiError, problem
from connector.sandbox.amocrm.world import World


def require_admin(world: World, call: Call) -> None:
    """403 unless the token's owner is an admin."""
    user = world.user(call.user_id)
    if user is not None and not user.is_admin:
        raise ApiError(problem(403, "Forbidden"))


def refuse_external(world: World) -> None:
    """403 for an external integration."""
    if world.switches.integration_kind == "external":
        raise ApiError(problem(403, "Forbidden"))
