"""What no client may do but a test must: turn switches, speak for people and for the service.

JSON below `/sandbox/api/amocrm`. Each action is a function handed in by `AmoCrm`; knows no part's inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, get_args, get_type_hints

from flask import Blueprint, Response, jsonify, request

from connector.sandbox.amocrm.switches import Switches
from connector.sandbox.amocrm.world import World
from connector.sandbox.state import UnknownEntity

PREFIX = "/sandbox/api/amocrm"
#: Gets the decoded JSON object of the request, answers what is shown. ValueError or LookupError is a 400.
Action = Callable[[dict[str, Any]], Any]


def blueprint(world: World, actions: Mapping[str, Action]) -> Blueprint:
    """GET and PATCH …/switches, and POST …/{action} for each of `actions`."""
    bp = Blueprint("amocrm_admin", __name__, url_prefix=PREFIX)

    @bp.get("/switches")
    def show() -> Response:
        return jsonify(asdict(world.switches))

    @bp.patch("/switches")
    def turn() -> tuple[Response, int]:
        return _answer(world, lambda body: turn_switches(world.switches, body))

    for name, action in actions.items():
        bp.post(f"/{name}", endpoint=name.replace("/", "_"))(lambda action=action: _answer(world, action))
    return bp


def turn_switches(switches: Switches, body: Mapping[str, Any]) -> dict[str, Any]:
    """Set switches by name; ValueError for a name or value that does not fit, and then none is turned."""
    hints = get_type_hints(Switches)
    known = {f.name for f in fields(Switches)}
    for name, value in body.items():
        if name not in known:
            raise ValueError(f"{name}: такого переключателя нет; есть {', '.join(sorted(known))}")
        if not _fits(hints[name], value):
            raise ValueError(f"{name}: {value!r} не подходит")
    for name, value in body.items():
        setattr(switches, name, value)
    return asdict(switches)


def _fits(wanted: Any, value: Any) -> bool:
    choices = get_args(wanted)
    if choices and all(isinstance(choice, str) for choice in choices):
        return isinstance(value, str) and value in choices
    if choices:  # int | None
        return any(_fits(choice, value) for choice in choices)
    if wanted is type(None):
        return value is None
    if wanted is bool:
        return isinstance(value, bool)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    return is_number and (wanted is float or isinstance(value, int))


def _answer(world: World, action: Action) -> tuple[Response, int]:
    body = request.get_json(silent=True, force=True) if request.get_data() else {}
    if not isinstance(body, dict):
        return jsonify(error="нужен объект JSON"), 400
    try:
        return jsonify(action(body)), 200
    except (ValueError, LookupError, UnknownEntity) as error:
        return jsonify(error=str(error)), 400
    except (TypeError, OverflowError) as error:
        return jsonify(error=f"одно из значений не того вида: {error}"), 400
    finally:
        world.portal.queries.forget()
