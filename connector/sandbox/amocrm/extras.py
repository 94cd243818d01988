"""Small things of an account: short links, widgets, subscribers of a lead.

Source: reference 4.16, 4.18, 7; samples of short links, widgets and subscriptions.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.amocrm.access import require_admin
from connector.sandbox.amocrm.lists import page_reply
from connector.sandbox.amocrm.request import OBJECT, STRING, Call, check_types
from connector.sandbox.amocrm.webhooks import is_callable
from connector.sandbox.amocrm.wire import Reply, Violation, hal, no_content, not_a_choice, not_found
from connector.sandbox.amocrm.world import Route, World

LINKS, WIDGETS = "/api/v4/short_links", "/api/v4/widgets"
MAX_LINKS = 250


@dataclass(slots=True)
class Widget:
    id: int
    code: str
    version: str = "1.0.0"
    is_active: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


class Extras:
    def __init__(self, world: World) -> None:
        self._world = world
        #: Short address -> (long one, contact): what a click would lead to.
        self.links: dict[str, tuple[str, int]] = {}
        self.widgets = {"connector": Widget(742, "connector"), "amo_mailchimp": Widget(796, "amo_mailchimp")}

    def shorten(self, world: World, call: Call) -> Reply:
        def rule(item: dict[str, Any]) -> list[Violation]:
            found = check_types(item, {"url": STRING, "metadata": OBJECT}, required=("url", "metadata"))
            if found:
                return found
            if not is_callable(item["url"]):
                found.append(Violation("InvalidUrl", "url", "Invalid URL"))
            given = item["metadata"] if isinstance(item["metadata"], dict) else {}
            if given.get("entity_type") != "contacts":
                found.append(not_a_choice("metadata.entity_type"))
            elif world.row("contacts", given.get("entity_id")) is None:
                found.append(not_a_choice("metadata.entity_id"))
            return found

        models = []
        for _, item in call.items(MAX_LINKS).check(rule):
            short = f"https://amo.sh/{secrets.token_hex(6).upper()}"
            self.links[short] = (item["url"], item["metadata"]["entity_id"])
            models.append({"url": short, "account_id": world.account_id, "metadata": item["metadata"]})
        links = {"self": {"href": LINKS}}
        return hal({"_links": links, "_embedded": {"short_links": models}})

    def follow(self, body: dict[str, Any]) -> dict[str, str]:
        """A customer opens a short link: an event of the contact. LookupError for an unknown one."""
        url, contact_id = self.links[str(body.get("url"))]
        note_id = self._world.portal.new_id("amocrm_link_note", 70_000_001)
        value = [{"note": {"id": note_id}}]
        self._world.record("link_followed", "contact", contact_id, by=0, after=value)
        return {"url": url}

    def list_widgets(self, world: World, call: Call) -> Reply:
        rows = sorted(self.widgets.values(), key=lambda w: w.id)
        return page_reply(call, world.base_url, "widgets", rows, self._model)

    def _model(self, widget: Widget) -> dict[str, Any]:
        setting = {"key": "api", "name": "custom", "type": "custom", "is_required": False}
        return {
            "id": widget.id,
            "code": widget.code,
            "version": widget.version,
            "rating": "4,5",
            "settings_template": [setting],
            "is_lead_source": False,
            "is_work_with_dp": False,
            "is_crm_template": False,
            "client_uuid": None,
            "is_active_in_account": widget.is_active,
            "pipeline_id": None,
            **({"settings": widget.settings} if widget.is_active else {}),
            "_links": self._world.link(f"{WIDGETS}/{widget.code}"),
        }

    def _known(self, code: str) -> Widget:
        widget = self.widgets.get(code)
        if widget is None:
            raise not_found("Widget not found")
        return widget

    def widget(self, world: World, call: Call, code: str) -> Reply:
        return hal(self._model(self._known(code)))

    def install(self, world: World, call: Call, code: str) -> Reply:
        require_admin(world, call)
        widget = self._known(code)
        widget.is_active, widget.settings = True, call.item() if call.body else {}
        return hal(self._model(widget))

    def remove(self, world: World, call: Call, code: str) -> Reply:
        require_admin(world, call)
        widget = self._known(code)
        widget.is_active, widget.settings = False, {}
        return no_content()

    def subscriptions(self, world: World, call: Call, lead_id: int) -> Reply:
        """Who is told of a lead's chats: its responsible user."""
        lead = world.row("leads", lead_id)
        rows = [lead.responsible_id] if lead is not None and lead.responsible_id else []
        return page_reply(
            call,
            world.base_url,
            "subscriptions",
            rows,
            lambda user_id: {"subscriber_id": user_id, "type": "user"},
            totals=True,
        )

    def routes(self) -> list[Route]:
        return [
            Route("POST", LINKS, self.shorten),
            Route("GET", WIDGETS, self.list_widgets),
            Route("GET", f"{WIDGETS}/<code>", self.widget),
            Route("POST", f"{WIDGETS}/<code>", self.install),
            Route("DELETE", f"{WIDGETS}/<code>", self.remove),
            Route("GET", "/api/v4/leads/<int:lead_id>/subscriptions", self.subscriptions),
        ]
