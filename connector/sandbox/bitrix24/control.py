"""The sandbox's own door to the portal, for programs that are not Python: `/sandbox/bitrix24/…`, JSON.

What a person would do in the interface, and the switches. No part of Bitrix24.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request

from connector.sandbox.bitrix24.automation import target_of
from connector.sandbox.bitrix24.life import AppLife
from connector.sandbox.bitrix24.site import Site

Answer = tuple[Response, int]
Body = dict[str, Any]


class Control:
    """Handlers of the control API; a wrong body is a 400 that says what is wrong."""

    def __init__(self, site: Site, life: AppLife) -> None:
        self._site = site
        self._life = life
        self._actions: dict[str, Callable[[Body], Any]] = {
            "app/register": self._register,
            "app/finish": lambda body: life.finish(),
            "app/update": lambda body: life.update(new_token=bool(body.get("new_token"))),
            "app/uninstall": lambda body: life.uninstall(clean=bool(body.get("clean"))),
            "app/frame": self._frame,
            "robots/run": self._run_robot,
            "robots/put": self._put_robot,
            "triggers/put": self._put_trigger,
            "tokens/expire": lambda body: site.oauth.expire_access_tokens(),
            "webhooks": lambda body: site.events.add_outgoing_webhook(_text(body, "url"), body["events"]),
        }

    def blueprint(self) -> Blueprint:
        bp = Blueprint("control", __name__, url_prefix="/sandbox/bitrix24")
        bp.add_url_rule("/switches", "show", self._show, methods=["GET"])
        bp.add_url_rule("/switches", "turn", self._turn, methods=["PATCH"])
        bp.add_url_rule("/<path:action>", "act", self._act, methods=["POST"])
        return bp

    def _show(self) -> Answer:
        return jsonify(asdict(self._site.switches)), 200

    def _turn(self) -> Answer:
        try:
            self._site.switches.set(**_body())
        except ValueError as error:
            return jsonify(error=str(error)), 400
        return self._show()

    def _act(self, action: str) -> Answer:
        act = self._actions.get(action)
        if act is None:
            return jsonify(error=f"no such action; there are {', '.join(sorted(self._actions))}"), 404
        try:
            return jsonify(result=act(_body())), 200
        except KeyError as error:
            return jsonify(error=f"{error.args[0]} is missing"), 400
        except (LookupError, ValueError) as error:
            return jsonify(error=str(error)), 400

    def _register(self, body: Body) -> None:
        api_only = bool(body.get("api_only", True))
        self._life.register(_text(body, "handler_url"), str(body.get("install_url") or ""), api_only=api_only)

    def _frame(self, body: Body) -> Body:
        """Address and form of a frame, for a test to post as the browser would."""
        url, form = self._life.frame(
            str(body.get("placement") or "DEFAULT"),
            body.get("options"),
            user_id=int(body.get("user_id") or 0),
        )
        return {"url": url, "form": dict(form)}

    def _run_robot(self, body: Body) -> str:
        target = target_of(_text(body, "document"))
        if target is None:
            raise ValueError("document: «DEAL_10», «LEAD_5», «DYNAMIC_128_3»")
        code, properties = _text(body, "code"), body.get("properties") or {}
        return self._site.automation.run(code, *target, properties).token

    def _put_robot(self, body: Body) -> None:
        stage = _text(body, "stage")
        if body.get("url"):
            self._site.automation.put_webhook(stage, str(body["url"]))
        else:
            self._site.automation.put_robot(stage, _text(body, "code"), body.get("properties"))

    def _put_trigger(self, body: Body) -> None:
        pipeline_id = int(body.get("pipeline_id") or 0)
        self._site.automation.put_trigger(pipeline_id, _text(body, "stage"), _text(body, "code"))


def _body() -> Body:
    found = request.get_json(silent=True, force=True)
    return found if isinstance(found, dict) else {}


def _text(body: Body, name: str) -> str:
    value = body[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: a text is needed")
    return value
