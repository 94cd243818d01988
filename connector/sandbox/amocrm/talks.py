"""Talks with customers in chats: list, one, close; chats of contacts; messages as hooks and events.

API v4 has no message history: messages are told once. A customer's or colleague's message is a test's act, by
the admin API. Source: reference 4.3, 4.16, 5, 6.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from connector.sandbox.amocrm.account import stable_uuid
from connector.sandbox.amocrm.lists import page_reply
from connector.sandbox.amocrm.people import full_name
from connector.sandbox.amocrm.request import BOOL, INT, STRING, Batch, Call, check_types, integers, strings
from connector.sandbox.amocrm.wire import (
    ApiError,
    Reply,
    Violation,
    hal,
    no_content,
    not_found,
    problem,
    unknown_entity,
)
from connector.sandbox.amocrm.world import Route, World

PATH = "/api/v4/talks"
CHATS = "/api/v4/contacts/chats"


@dataclass(slots=True)
class Talk:
    id: int
    created_at: int
    updated_at: int
    contact_id: int
    chat_id: str
    lead_id: int | None
    origin: str
    is_in_work: bool = True
    is_read: bool = False
    missed_at: int | None = None


class Talks:
    """All talks of the account. `on_chat` hears which lead a customer wrote to."""

    def __init__(self, world: World, on_chat: Callable[[int], None]) -> None:
        self._world = world
        self._on_chat = on_chat
        self.talks: dict[int, Talk] = {}
        #: Chat id -> (number of the link, contact).
        self._chats: dict[str, tuple[int, int]] = {}

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        """A message in a chat: `contact_id`, `text`, `lead_id`, `is_outgoing`, `origin`, `attachment`.

        The first one opens a talk. Answers ids of the message and the talk. LookupError for strangers.
        """
        world = self._world
        contact_id, lead_id = body.get("contact_id"), body.get("lead_id")
        with world.portal.lock:
            contact = world.row("contacts", contact_id)
            if contact is None or (lead_id is not None and world.row("leads", lead_id) is None):
                raise LookupError("contact_id и lead_id: таких нет")
            talk, is_new = self._talk(int(contact.id), lead_id, str(body.get("origin") or "telegram"))
            is_outgoing = bool(body.get("is_outgoing"))
            message = self._message(talk, body, is_outgoing)
            talk.updated_at, talk.is_read = world.now(), is_outgoing
            world.announce(
                "add_talk" if is_new else "update_talk",
                {"talk": {"add" if is_new else "update": [_fields(talk)]}},
            )
            if is_outgoing:
                world.announce("add_outgoing_message", {"outgoing_message": {"add": [message]}})
            else:
                world.announce("add_message", {"message": {"add": [message]}})
            self._record(talk, message["id"], is_outgoing, int(body.get("user_id") or 0))
            if lead_id is not None and not is_outgoing:
                self._on_chat(lead_id)
        return {"message_id": message["id"], "talk_id": talk.id, "chat_id": talk.chat_id}

    def _talk(self, contact_id: int, lead_id: int | None, origin: str) -> tuple[Talk, bool]:
        found = next((t for t in self.talks.values() if t.contact_id == contact_id and t.is_in_work), None)
        if found is not None:
            return found, False
        world, now = self._world, self._world.now()
        chat_id = next((chat for chat, (_, c) in self._chats.items() if c == contact_id), None)
        if chat_id is None:
            chat_id = str(uuid4())
            self._chats[chat_id] = (world.portal.new_id("amocrm_chat", 26_219), contact_id)
        made = Talk(world.portal.new_id("amocrm_talk", 100), now, now, contact_id, chat_id, lead_id, origin)
        self.talks[made.id] = made
        return made, True

    def _message(self, talk: Talk, body: dict[str, Any], is_outgoing: bool) -> dict[str, Any]:
        world = self._world
        contact = world.portal.contacts[talk.contact_id]
        customer = {
            "id": stable_uuid(world, f"client/{contact.id}"),
            "type": "external",
            "name": full_name(contact),
        }
        attachment = body.get("attachment")
        common: dict[str, Any] = {
            "id": str(uuid4()),
            "chat_id": talk.chat_id,
            "talk_id": talk.id,
            "contact_id": talk.contact_id,
            "text": str(body.get("text") or ""),
            "created_at": world.now(),
            "attachment": attachment if isinstance(attachment, dict) else None,
            "message_type": attachment.get("type") if isinstance(attachment, dict) else None,
        }
        if is_outgoing:
            user = world.user(int(body.get("user_id") or world.api_user_id))
            name = " ".join(part for part in (user.name, user.last_name) if part) if user else ""
            author = {
                "id": stable_uuid(world, f"amojo/{user.id if user else 0}"),
                "type": "internal",
                "user_id": user.id if user else None,
                "name": name,
            }
            sides = {"author": author, "recipient": customer}
            return {**common, "type": "outgoing", "origin": talk.origin, **sides}
        entity = {}
        if talk.lead_id is not None:
            entity = {
                "element_type": 2,
                "entity_type": "lead",
                "element_id": talk.lead_id,
                "entity_id": talk.lead_id,
            }
        return {**common, **entity, "type": "incoming", "author": customer, "origin": talk.origin}

    def _record(self, talk: Talk, message_id: str, is_outgoing: bool, by: int) -> None:
        kind = "outgoing_chat_message" if is_outgoing else "incoming_chat_message"
        value = [{"message": {"id": message_id, "talk_id": talk.id, "origin": talk.origin}}]
        word, entity_id = ("lead", talk.lead_id) if talk.lead_id is not None else ("contact", talk.contact_id)
        linked = {"linked_talk_contact_id": talk.contact_id}
        self._world.record(kind, word, entity_id, by=by, after=value, **linked)

    def listing(self, world: World, call: Call) -> Reply:
        """Not in the documents; the TypeScript client lists talks here."""
        rows = sorted(self.talks.values(), key=lambda t: t.id)
        return page_reply(call, world.base_url, "talks", rows, self._model)

    def one(self, world: World, call: Call, talk_id: int) -> Reply:
        return hal(self._model(self._known(talk_id)))

    def _known(self, talk_id: int) -> Talk:
        talk = self.talks.get(talk_id)
        if talk is None:
            raise not_found("Talk not found")
        return talk

    def close(self, world: World, call: Call, talk_id: int) -> Reply:
        talk = self._known(talk_id)
        item = call.item() if call.body else {}
        Batch([item]).check(lambda body: check_types(body, {"force_close": BOOL}))
        with world.portal.lock:
            if not talk.is_in_work:
                raise ApiError(problem(422, "Talk is already closed"))
            talk.is_in_work, talk.is_read, talk.updated_at = False, True, world.now()
            world.announce("update_talk", {"talk": {"update": [_fields(talk)]}})
        return Reply(202)

    def chats(self, world: World, call: Call) -> Reply:
        wanted, contacts = set(strings(call.query.get("chat_id"))), integers(call.query.get("contact_id"))
        rows = [
            {"chat_id": chat_id, "contact_id": contact_id, "id": link_id}
            for chat_id, (link_id, contact_id) in self._chats.items()
            if (not wanted or chat_id in wanted) and (not contacts or contact_id in contacts)
        ]
        return hal({"_total_items": len(rows), "_embedded": {"chats": rows}}) if rows else no_content()

    def link_chats(self, world: World, call: Call) -> Reply:
        def rule(item: dict[str, Any]) -> list[Violation]:
            found = check_types(
                item, {"contact_id": INT, "chat_id": STRING}, required=("contact_id", "chat_id")
            )
            if not found and world.row("contacts", item["contact_id"]) is None:
                return [unknown_entity("contact_id", "contact", item["contact_id"])]
            return found

        batch = call.items().check(rule)
        rows = []
        with world.portal.lock:
            for name, item in batch:
                link_id = world.portal.new_id("amocrm_chat", 26_219)
                self._chats[item["chat_id"]] = (link_id, item["contact_id"])
                row = {"chat_id": item["chat_id"], "contact_id": item["contact_id"], "id": link_id}
                rows.append({**row, "request_id": name})
        return hal({"_total_items": len(rows), "_embedded": {"chats": rows}})

    def _model(self, talk: Talk) -> dict[str, Any]:
        def linked(collection: str, entity_id: int | None) -> list[dict[str, Any]]:
            if entity_id is None:
                return []
            return [{"id": entity_id, "_links": self._world.link(f"/api/v4/{collection}/{entity_id}")}]

        return {
            **_fields(talk),
            "missed_at": talk.missed_at,
            "account_id": self._world.account_id,
            "_links": self._world.link(f"{PATH}/{talk.id}"),
            "_embedded": {
                "contacts": linked("contacts", talk.contact_id),
                "leads": linked("leads", talk.lead_id),
                "customers": [],
            },
        }

    def routes(self) -> list[Route]:
        return [
            Route("GET", PATH, self.listing),
            Route("GET", f"{PATH}/<int:talk_id>", self.one),
            Route("POST", f"{PATH}/<int:talk_id>/close", self.close),
            Route("GET", CHATS, self.chats),
            Route("POST", CHATS, self.link_chats),
        ]


def _fields(talk: Talk) -> dict[str, Any]:
    return {
        "talk_id": talk.id,
        "created_at": talk.created_at,
        "updated_at": talk.updated_at,
        "rate": 0,
        "contact_id": talk.contact_id,
        "chat_id": talk.chat_id,
        "entity_id": talk.lead_id,
        "entity_type": "lead" if talk.lead_id is not None else None,
        "is_in_work": talk.is_in_work,
        "is_read": talk.is_read,
        "origin": talk.origin,
    }
