"""`/api/v4/chats/templates`: texts that managers send to chats, and their review by WhatsApp.

A review begins with the status of the switch `template_review`, is told as a webhook, and ends when somebody
decides it. Fields are those of the documented hook, addresses those that clients call; refusals are
unverified. Source: reference 2.2, 6.2.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.amocrm import filters
from connector.sandbox.amocrm.lists import page_reply
from connector.sandbox.amocrm.request import (
    BOOL,
    INT,
    LIST,
    OPTIONAL_STRING,
    STRING,
    Batch,
    Call,
    Kind,
    check_types,
)
from connector.sandbox.amocrm.wire import Reply, Violation, hal, no_content, not_a_choice, not_found
from connector.sandbox.amocrm.world import Route, World

PATH: Final = "/api/v4/chats/templates"
MAX_PAGE: Final = 50
_KINDS: Final[dict[str, Kind]] = {
    "name": STRING,
    "content": STRING,
    "external_id": OPTIONAL_STRING,
    "is_editable": BOOL,
    "buttons": LIST,
    "type": STRING,
    **dict.fromkeys(("waba_header", "waba_footer", "waba_category", "waba_language"), OPTIONAL_STRING),
}
_WABA: Final = ("waba_header", "waba_footer", "waba_category", "waba_language")


class ChatTemplates:
    """All templates of the account, by id; plain models as they are answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.templates: dict[int, dict[str, Any]] = {}

    def listing(self, world: World, call: Call) -> Reply:
        makers: dict[str, filters.Maker] = {
            "external_id": filters.word(lambda row: row["external_id"]),
            "id": filters.number(lambda row: row["id"]),
        }
        rows = filters.apply(self.templates.values(), call.filter, makers)
        return page_reply(call, world.base_url, "chat_templates", rows, self._model, maximum=MAX_PAGE)

    def one(self, world: World, call: Call, template_id: int) -> Reply:
        return hal(self._model(self._known(template_id)))

    def add(self, world: World, call: Call) -> Reply:
        with world.portal.lock:
            batch = call.items().check(lambda item: _check(item, required=("name", "content")))
            models = []
            for name, item in batch:
                number, now = world.portal.new_id("amocrm_chat_template", 6_955), world.now()
                row = {
                    "id": number,
                    "type": "amocrm",
                    "external_id": None,
                    "is_editable": True,
                    "buttons": [],
                    "reviews": [],
                    **dict.fromkeys(_WABA),
                    **{key: value for key, value in item.items() if key in _KINDS},
                    "created_at": now,
                    "updated_at": now,
                }
                self.templates[number] = row
                models.append({**self._model(row), "request_id": name})
        return hal({"_total_items": len(models), "_embedded": {"chat_templates": models}})

    def change(self, world: World, call: Call, template_id: int) -> Reply:
        with world.portal.lock:
            row, item = self._known(template_id), call.item()
            Batch([item]).check(_check)
            return hal(self._apply(row, item))

    def change_many(self, world: World, call: Call) -> Reply:
        def rule(item: dict[str, Any]) -> list[Violation]:
            found = check_types(item, {"id": INT}, required=("id",)) or _check(item)
            return found or ([] if item["id"] in self.templates else [not_a_choice("id")])

        with world.portal.lock:
            rows = [self._apply(self.templates[item["id"]], item) for _, item in call.items().check(rule)]
        return hal({"_total_items": len(rows), "_embedded": {"chat_templates": rows}})

    def _apply(self, row: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
        changed = {**row, **{key: value for key, value in item.items() if key in _KINDS}}
        changed["updated_at"] = self._world.now()
        self.templates[row["id"]] = changed
        return self._model(changed)

    def delete(self, world: World, call: Call, template_id: int) -> Reply:
        with world.portal.lock:
            del self.templates[self._known(template_id)["id"]]
        return no_content()

    def delete_many(self, world: World, call: Call) -> Reply:
        """All that the body names by id."""

        def rule(item: dict[str, Any]) -> list[Violation]:
            found = check_types(item, {"id": INT}, required=("id",))
            return found or ([] if item["id"] in self.templates else [not_a_choice("id")])

        with world.portal.lock:
            for _, item in call.items().check(rule):
                self.templates.pop(item["id"], None)
        return no_content()

    def decide(self, world: World, call: Call, template_id: int, review_id: int) -> Reply:
        """The integration tells what came of a review: `status` approved | rejected, `reject_reason`."""
        with world.portal.lock:
            row, item = self._known(template_id), call.item()
            Batch([item]).check(lambda body: _check_decision(body))
            review = next((each for each in row["reviews"] if each["id"] == review_id), None)
            if review is None:
                raise not_found("Review not found")
            decided = {**review, **{key: item[key] for key in ("status", "reject_reason") if key in item}}
            reviews = [decided if each is review else each for each in row["reviews"]]
            self.templates[template_id] = {**row, "reviews": reviews, "updated_at": world.now()}
        return hal(decided)

    def review(self, world: World, call: Call, template_id: int) -> Reply:
        """Send the template for review with every source of the integration."""
        with world.portal.lock:
            row = self._known(template_id)
            review = {
                "id": world.portal.new_id("amocrm_template_review", 15),
                "source_id": call.item().get("source_id") if call.body else None,
                "status": world.switches.template_review,
                "reject_reason": "",
            }
            changed = {**row, "reviews": [*row["reviews"], review], "updated_at": world.now()}
            self.templates[template_id] = changed
            shown = {key: value for key, value in self._model(changed).items() if key != "_links"}
            world.announce("add_chat_template_review", {"add": [shown]})
        return hal({"_total_items": 1, "_embedded": {"reviews": [review]}})

    def _known(self, template_id: int) -> dict[str, Any]:
        row = self.templates.get(template_id)
        if row is None:
            raise not_found("Chat template not found")
        return row

    def _model(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            **row,
            "account_id": self._world.account_id,
            "is_on_review": any(review["status"] == "review" for review in row["reviews"]),
            "_links": self._world.link(f"{PATH}/{row['id']}"),
        }

    def routes(self) -> list[Route]:
        one = f"{PATH}/<int:template_id>"
        return [
            Route("GET", PATH, self.listing),
            Route("POST", PATH, self.add),
            Route("PATCH", PATH, self.change_many),
            Route("GET", one, self.one),
            Route("PATCH", one, self.change),
            Route("DELETE", one, self.delete),
            Route("DELETE", PATH, self.delete_many),
            Route("POST", f"{one}/review", self.review),
            Route("POST", f"{one}/review/<int:review_id>", self.decide),
        ]


def _check_decision(item: dict[str, Any]) -> list[Violation]:
    kinds = {"status": STRING, "reject_reason": OPTIONAL_STRING}
    found = check_types(item, kinds, required=("status",))
    return found or ([] if item["status"] in ("approved", "rejected", "review") else [not_a_choice("status")])


def _check(item: dict[str, Any], required: tuple[str, ...] = ()) -> list[Violation]:
    found = check_types(item, _KINDS, required=required)
    if not found and item.get("type", "amocrm") not in ("amocrm", "waba"):
        found.append(not_a_choice("type"))
    return found
