"""Hooks of the digital pipeline: configured for a stage, short, sent once; and the hooks of widgets there.

Nobody sees them in `/api/v4/webhooks`. Source: reference 6.7. A person configures them, so they come by the
admin API. Content type of a widget's hook is not documented: form, with the nesting of the documented JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector.sandbox.amocrm.delivery import Delivery, Hook
from connector.sandbox.amocrm.hook_bodies import Notice
from connector.sandbox.amocrm.webhooks import is_callable
from connector.sandbox.amocrm.world import World
from connector.sandbox.state import Change, Deal, Note

#: What may set a trigger off. `period` belongs to customers, who have their own pipelines.
ACTIONS = ("add", "status", "call_in", "chat", "site_visit", "mail_in")
#: Numbers and names of the same in widgets' hooks.
WIDGET_TYPES = {
    "add": (1, "lead_added"),
    "status": (14, "lead_status_changed"),
    "appeared": (15, "lead_appeared_in_status"),
    "mail_in": (16, "mail_in"),
    "call_in": (17, "call_in"),
    "site_visit": (18, "site_visit"),
    "chat": (19, "chat"),
}
_NOTE_ACTIONS = {"call_in": "call_in", "mail": "mail_in", "amomail_message": "mail_in"}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger on one stage. `is_widget`: with the body of a widget's hook."""

    hook: Hook
    pipeline_id: int
    status_id: int
    actions: tuple[str, ...]
    is_widget: bool


class DigitalPipeline:
    """All triggers of the account."""

    def __init__(self, world: World, delivery: Delivery) -> None:
        self._world = world
        self._delivery = delivery
        self.triggers: list[Trigger] = []
        world.portal.listen(self._hear)

    def add(self, body: dict[str, Any]) -> dict[str, Any]:
        """Configure one: `url`, `pipeline_id`, `status_id`, `actions`, `is_widget`. ValueError if wrong."""
        url, actions = body.get("url"), body.get("actions", ["add", "status"])
        if not isinstance(url, str) or not is_callable(url):
            raise ValueError("url: нужен адрес http(s)")
        if not isinstance(actions, list) or not actions or not set(actions) <= set(ACTIONS):
            raise ValueError(f"actions: что-то из {', '.join(ACTIONS)}")
        portal = self._world.portal
        with portal.lock:
            stage = portal.stage(int(body.get("pipeline_id") or 0), str(body.get("status_id")))
            now = portal.now()
            hook_id = portal.new_id("amocrm_hook", 1_056_949)
            hook = Hook(hook_id, url, [], 0, now, now, self._world.api_user_id, is_trigger=True)
            self._delivery.triggers[hook_id] = hook
            self.triggers.append(
                Trigger(hook, stage.pipeline_id, int(stage.code), tuple(actions), bool(body.get("is_widget")))
            )
        return {"id": hook_id}

    def chat(self, deal_id: int) -> None:
        """A customer wrote to the chat of a deal."""
        self._pull(self._world.portal.deals[deal_id], "chat", None)

    def _hear(self, change: Change) -> None:
        if change.entity == "deal" and change.action == "add":
            self._pull(change.after, "add", None)
        elif change.entity == "deal" and {"stage", "pipeline_id"} & set(change.fields):
            self._pull(change.after, "status", change.before)
        elif change.entity == "note" and change.action == "add":
            note: Note = change.after
            deal = self._world.portal.deals.get(note.entity_id) if note.entity == "deal" else None
            action = _NOTE_ACTIONS.get(note.kind)
            if deal is not None and action is not None:
                self._pull(deal, action, None)

    def _pull(self, deal: Deal, action: str, before: Deal | None) -> None:
        for trigger in self.triggers:
            here = (trigger.pipeline_id, trigger.status_id) == (deal.pipeline_id, int(deal.stage))
            if here and action in trigger.actions:
                body = self._widget_body(deal, action) if trigger.is_widget else _body(deal, action, before)
                self._delivery.pull(trigger.hook, Notice(f"pipeline_{action}", body=body))

    def _widget_body(self, deal: Deal, action: str) -> dict[str, Any]:
        number, code = WIDGET_TYPES["appeared" if action == "status" else action]
        data = {
            "id": deal.id,
            "element_type": 2,
            "status_id": deal.stage,
            "pipeline_id": deal.pipeline_id,
            "direction_of_movement": "went_to_trigger",
        }
        return {
            "event": {"type": number, "type_code": code, "data": data, "time": self._world.now()},
            "action": {"settings": {"widget": {"settings": {}}}},
            "subdomain": self._world.subdomain,
            "account_id": self._world.account_id,
        }


def _body(deal: Deal, action: str, before: Deal | None) -> dict[str, Any]:
    item = {
        "id": deal.id,
        "status_id": deal.stage,
        "pipeline_id": deal.pipeline_id,
        "old_status_id": before.stage if before else None,
        "old_pipeline_id": before.pipeline_id if before else None,
    }
    return {"leads": {action: [item]}}
