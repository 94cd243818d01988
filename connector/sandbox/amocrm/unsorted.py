"""Incoming leads (`/api/v4/leads/unsorted`): list, add, accept, decline, link, summary, and their hooks.

The lead keeps its id; its contact and company are hidden until it is accepted. Source: reference 4.13, 6.5.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any

from werkzeug.datastructures import Headers

from connector.sandbox.amocrm import filters, leads, people
from connector.sandbox.amocrm.lists import ordered, page_reply
from connector.sandbox.amocrm.request import INT, OBJECT, STRING, UNIX, Batch, Call, check_types
from connector.sandbox.amocrm.tree import check_people, store_people
from connector.sandbox.amocrm.wire import ApiError, Reply, Violation, hal, not_a_choice, not_found, problem
from connector.sandbox.amocrm.world import Route, World
from connector.sandbox.state import Contact

PATH = "/api/v4/leads/unsorted"
#: What the API may add; letters and chats come by themselves.
ADDABLE = ("sip", "forms")
CATEGORIES = ("sip", "mail", "forms", "chats")


@dataclass(slots=True)
class Unsorted:
    uid: str
    source_uid: str | None
    source_name: str | None
    category: str
    pipeline_id: int
    created_at: int
    metadata: dict[str, Any]
    lead_id: int
    contact_id: int | None
    company_id: int | None
    state: str = "waiting"
    settled_at: int = 0


class Arrivals:
    """Incoming leads of the account."""

    def __init__(self) -> None:
        self._rows: dict[str, Unsorted] = {}

    def keep(
        self,
        world: World,
        item: dict[str, Any],
        category: str,
        metadata: dict[str, Any],
        lead_id: int,
        contact_id: int | None,
        company_id: int | None,
    ) -> Unsorted:
        """Remember a stored lead as an incoming one, hide its contact and tell of it."""
        row = Unsorted(
            uid=secrets.token_hex(30),
            source_uid=item.get("source_uid"),
            source_name=item.get("source_name"),
            category=category,
            pipeline_id=world.portal.deals[lead_id].pipeline_id,
            created_at=item.get("created_at") or world.now(),
            metadata=metadata,
            lead_id=lead_id,
            contact_id=contact_id,
            company_id=company_id,
        )
        self._rows[row.uid] = row
        if contact_id is not None:
            world.hidden_contacts.add(contact_id)
        world.announce("add_unsorted", {"unsorted": {"add": [_hook(world, row)]}})
        return row

    def add(self, world: World, call: Call, *, category: str) -> Reply:
        with world.portal.lock:
            batch = call.items().check(partial(_check, world))
            models = []
            for name, item in batch:
                embedded = _embedded(item) or {}
                contact_id, company_id = store_people(world, call, embedded)
                pipeline = world.portal.pipelines[item.get("pipeline_id") or world.main_pipeline().id]
                lead = {
                    key: value
                    for key, value in (embedded.get("leads") or [{}])[0].items()
                    if key not in ("status_id", "pipeline_id")
                }
                deal = leads.create(
                    world,
                    call,
                    {**lead, "responsible_user_id": 0, "created_by": 0},
                    contact_ids=[contact_id] if contact_id is not None else [],
                    company_id=company_id,
                    stage=(pipeline.id, world.unsorted_stage(pipeline, insert=True).code),
                )
                row = self.keep(world, item, category, item["metadata"], deal.id, contact_id, company_id)
                head = {"uid": row.uid, "account_id": world.account_id, "request_id": name}
                links = world.link(f"{PATH}/{row.uid}")
                models.append({**head, "_links": links, "_embedded": _linked(world, row)})
        return hal({"_total_items": len(models), "_embedded": {"unsorted": models}})

    def from_chat(self, world: World, body: dict[str, Any]) -> dict[str, Any]:
        """A stranger writes to a chat: a lead, a contact and the talk's first message, by a test's will."""
        with world.portal.lock:
            name, now = str(body.get("name") or "Гость"), world.portal.now()
            contact = world.portal.add("contact", Contact(0, name, created_at=now, updated_at=now), by=0)
            pipeline = world.main_pipeline()
            stage = (pipeline.id, world.unsorted_stage(pipeline, insert=True).code)
            call = Call("POST", PATH, "", b"", "", Headers())
            item = {"responsible_user_id": 0, "created_by": 0}
            deal = leads.create(world, call, item, contact_ids=[contact.id], stage=stage)
            metadata = {
                "from": name,
                "to": "bot",
                "received_at": world.now(),
                "service": str(body.get("origin") or "telegram"),
                "client": {"name": name, "avatar": None},
                "origin": {"chat_id": str(body.get("chat_id") or ""), "ref": None, "visitor_uid": None},
                "last_message_text": str(body.get("text") or ""),
                "source_name": "Чат",
            }
            source = {"source_uid": f"amojo:{metadata['service']}", "source_name": "Чат"}
            row = self.keep(world, source, "chats", metadata, deal.id, contact.id, None)
        return {"uid": row.uid, "lead_id": deal.id, "contact_id": contact.id}

    def listing(self, world: World, call: Call) -> Reply:
        makers: dict[str, filters.Maker] = {
            "uid": filters.word(lambda u: u.uid),
            "category": filters.word(lambda u: u.category),
            "pipeline_id": filters.number(lambda u: u.pipeline_id),
        }
        rows = [row for row in self._rows.values() if row.state == "waiting"]
        rows = filters.apply(rows, call.filter, makers)
        orders = {"created_at": lambda u: u.created_at, "updated_at": lambda u: u.created_at}
        return page_reply(
            call, world.base_url, "unsorted", ordered(call, rows, orders), lambda u: _model(world, u)
        )

    def one(self, world: World, call: Call, uid: str) -> Reply:
        return hal(_model(world, self._waiting(uid)))

    def _waiting(self, uid: str) -> Unsorted:
        row = self._rows.get(uid)
        if row is None or row.state != "waiting":
            raise not_found("Unsorted not found")
        return row

    def accept(self, world: World, call: Call, uid: str) -> Reply:
        """Move the lead to the first normal status, or to `status_id`."""
        with world.portal.lock:
            row = self._waiting(uid)
            body = _optional_body(call)
            pipeline = world.portal.pipelines[row.pipeline_id]
            code = str(body.get("status_id") or world.first_stage(pipeline).code)
            if all(stage.code != code for stage in pipeline.stages):
                raise ApiError(problem(400, "Status not found"))
            user_id = _user(world, call, body)
            world.portal.update_deal(row.lead_id, {"stage": code, "responsible_id": user_id}, by=user_id)
            self._settle(world, row, "accept", user_id)
            return hal(_settled(world, row))

    def decline(self, world: World, call: Call, uid: str) -> Reply:
        """Put the lead into the trash; 200 with a body, unlike other deletions."""
        with world.portal.lock:
            row = self._waiting(uid)
            user_id = _user(world, call, _optional_body(call))
            world.portal.delete_deal(row.lead_id, by=user_id)
            self._settle(world, row, "decline", user_id)
            return hal(_settled(world, row))

    def link(self, world: World, call: Call, uid: str) -> Reply:
        """Put a chat's enquiry onto a lead that there is already; its own lead goes into the trash."""
        with world.portal.lock:
            row = self._waiting(uid)
            body = call.item()
            Batch([body]).check(lambda item: check_types(item, {"link": OBJECT}, required=("link",)))
            link = body["link"] if isinstance(body["link"], dict) else {}
            if row.category != "chats":
                raise ApiError(problem(400, "Only chats can be linked"))
            target = world.row("leads", link.get("entity_id")) if link.get("entity_type") == "leads" else None
            if target is None:
                raise ApiError(problem(400, "Entity to link is not found"))
            user_id = _user(world, call, body)
            metadata = link.get("metadata")
            contact_id = metadata.get("contact_id") if isinstance(metadata, dict) else None
            contact_id = contact_id if world.row("contacts", contact_id) else row.contact_id
            world.portal.delete_deal(row.lead_id, by=user_id)
            ids = list(dict.fromkeys([*target.contact_ids, *([contact_id] if contact_id else [])]))
            world.portal.update_deal(target.id, {"contact_ids": ids}, by=user_id)
            row.lead_id, row.contact_id = target.id, contact_id
            self._settle(world, row, "accept", user_id)
            return hal(_settled(world, row))

    def _settle(self, world: World, row: Unsorted, action: str, user_id: int) -> None:
        row.state, row.settled_at = f"{action}ed" if action == "accept" else "declined", world.now()
        world.hidden_contacts.discard(row.contact_id or 0)
        result: dict[str, Any] = {"leads": [row.lead_id]}
        if action == "accept" and row.contact_id is not None:
            result["contacts"] = [row.contact_id]
        item = {
            "action": action,
            "uid": row.uid,
            "category": row.category,
            "created_at": row.created_at,
            f"{action}_result": result,
            "modified_user_id": user_id,
        }
        world.announce("delete_unsorted", {"unsorted": {"delete": [item]}})

    def summary(self, world: World, call: Call) -> Reply:
        makers: dict[str, filters.Maker] = {
            "uid": filters.word(lambda u: u.uid),
            "created_at": filters.moment(lambda u: u.created_at, scalar_is_since=True),
            "pipeline_id": filters.number(lambda u: u.pipeline_id),
        }
        rows = filters.apply(self._rows.values(), call.filter, makers)
        settled = [max(0, row.settled_at - row.created_at) for row in rows if row.state != "waiting"]
        counts = {name: {"total": sum(row.category == name for row in rows)} for name in CATEGORIES}
        return hal(
            {
                "total": len(rows),
                "accepted": sum(row.state == "accepted" for row in rows),
                "declined": sum(row.state == "declined" for row in rows),
                "average_sort_time": sum(settled) // len(settled) if settled else 0,
                "categories": counts,
            }
        )

    def routes(self) -> list[Route]:
        return [
            Route("GET", PATH, self.listing),
            Route("GET", f"{PATH}/summary", self.summary),
            Route("GET", f"{PATH}/<uid>", self.one),
            Route("POST", f"{PATH}/<uid>/accept", self.accept),
            Route("DELETE", f"{PATH}/<uid>/decline", self.decline),
            Route("POST", f"{PATH}/<uid>/link", self.link),
            *(Route("POST", f"{PATH}/{name}", partial(self.add, category=name)) for name in ADDABLE),
        ]


def _optional_body(call: Call) -> dict[str, Any]:
    return call.item() if call.body else {}


def _user(world: World, call: Call, body: dict[str, Any]) -> int:
    given = body.get("user_id")
    return given if isinstance(given, int) and given in world.portal.users else call.user_id


def _check(world: World, item: dict[str, Any]) -> list[Violation]:
    kinds = {
        "source_uid": STRING,
        "source_name": STRING,
        "metadata": OBJECT,
        "pipeline_id": INT,
        "created_at": UNIX,
        "_embedded": OBJECT,
    }
    found = check_types(item, kinds, required=("source_uid", "source_name", "metadata"))
    if found:
        return found
    if item.get("pipeline_id") and item["pipeline_id"] not in world.portal.pipelines:
        found.append(not_a_choice("pipeline_id"))
    if not isinstance(item["metadata"], dict):
        found.append(not_a_choice("metadata"))
    embedded = _embedded(item)
    if isinstance(embedded, dict):
        rows = embedded.get("leads") or []
        if not isinstance(rows, list) or len(rows) > 1 or not all(isinstance(r, dict) for r in rows):
            return [*found, not_a_choice("_embedded.leads")]
        for row in rows:
            found += leads.check(world, row)
        found += check_people(world, embedded)
    return found


def _embedded(item: dict[str, Any]) -> Any:
    """The tree of an enquiry. The document's own form names its contact with numbers and is accepted, so
    numbers are taken for texts here, as nowhere else. Source: reference 4.13, the sample of a form."""
    embedded = item.get("_embedded")
    if not isinstance(embedded, dict):
        return {}
    return embedded | {
        collection: [_named_in_text(row) for row in rows]
        for collection in ("contacts", "companies")
        if isinstance(rows := embedded.get(collection), list)
    }


def _named_in_text(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    names = ("name", "first_name", "last_name")
    return row | {key: str(row[key]) for key in names if type(row.get(key)) in (int, float)}


def _linked(world: World, row: Unsorted) -> dict[str, Any]:
    def shown(collection: str, entity_id: int | None) -> list[dict[str, Any]]:
        if entity_id is None:
            return []
        return [{"id": entity_id, "_links": world.link(f"/api/v4/{collection}/{entity_id}")}]

    return {
        "contacts": shown("contacts", row.contact_id),
        "leads": shown("leads", row.lead_id),
        "companies": shown("companies", row.company_id),
    }


def _model(world: World, row: Unsorted) -> dict[str, Any]:
    return {
        "uid": row.uid,
        "source_uid": row.source_uid,
        "source_name": row.source_name,
        "category": row.category,
        "pipeline_id": row.pipeline_id,
        "created_at": row.created_at,
        "metadata": row.metadata,
        "account_id": world.account_id,
        "_links": world.link(f"{PATH}/{row.uid}"),
        "_embedded": _linked(world, row),
    }


def _settled(world: World, row: Unsorted) -> dict[str, Any]:
    return {
        "uid": row.uid,
        "pipeline_id": row.pipeline_id,
        "category": row.category,
        "created_at": row.created_at,
        "_embedded": _linked(world, row),
    }


def _hook(world: World, row: Unsorted) -> dict[str, Any]:
    """What `unsorted[add]` says: chats as captured, forms as documented, the rest by its metadata."""
    deal = world.portal.deals[row.lead_id]
    lead = {"id": deal.id, "name": deal.name, "date_create": row.created_at, **_BY_ROBOT}
    contact = world.portal.contacts.get(row.contact_id) if row.contact_id is not None else None
    people_ = [{"id": contact.id, "name": people.full_name(contact)}] if contact is not None else None
    source, data = row.source_name, {"leads": [lead], "contacts": people_}
    if row.category == "chats":
        source = f"{row.metadata.get('service')}:{row.metadata.get('to')}"
        data = {"contacts": [{"id": contact.id}] if contact is not None else None}
    return {
        "uid": row.uid,
        "source": source,
        "source_uid": row.source_uid,
        "category": row.category,
        "source_data": {**_source_data(row), "source_uid": row.source_uid, "source_name": row.source_name},
        "date_create": row.created_at,
        "data": data,
        "pipeline_id": row.pipeline_id,
        "account_id": world.account_id,
        "lead_id": row.lead_id,
        "created_at": row.created_at,
    }


_BY_ROBOT = {"created_user_id": 0, "modified_user_id": 0, "main_user_id": 0}


def _source_data(row: Unsorted) -> dict[str, Any]:
    given = row.metadata
    if row.category == "forms":
        origin = {name: given.get(name) for name in ("ip", "referer", "visitor_uid")}
        return {
            "form_id": given.get("form_id"),
            "form_type": 1,
            "form_name": given.get("form_name"),
            "form_page": given.get("form_page"),
            "date": given.get("form_sent_at"),
            "from": row.source_name,
            "origin": {**origin, "datetime": given.get("form_sent_at")},
        }
    if row.category != "chats":
        return dict(given)
    client, origin = given.get("client") or {}, given.get("origin") or {}
    message = {"id": f"{row.uid[:8]}-0000-4000-8000-{row.uid[8:20]}", "manager": 0, "date": row.created_at}
    return {
        "from": given.get("from"),
        "name": given.get("from"),
        "to": given.get("to"),
        "date": given.get("received_at"),
        "service": given.get("service"),
        "site": str(given.get("service") or "").capitalize(),
        "client": {"name": client.get("name"), "id": row.contact_id, "picture": client.get("avatar")},
        "origin": {"provider": "amojo", "chat_id": origin.get("chat_id")},
        "data": [{**message, "text": given.get("last_message_text")}],
        "source": f"{given.get('service')}:{given.get('to')}",
    }
