"""`POST /api/v4/leads/complex` and incoming leads (`/leads/unsorted`): a lead with its people in one write.

Source: reference 4.2, 4.13. Duplicate control is off, as it is without an uploaded widget.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any

from connector.sandbox.amocrm import filters, leads, people
from connector.sandbox.amocrm.lists import ordered, page_reply
from connector.sandbox.amocrm.request import INT, OBJECT, STRING, UNIX, Call, check_types
from connector.sandbox.amocrm.wire import (
    ApiError,
    Reply,
    Violation,
    hal,
    not_a_choice,
    not_found,
    problem,
)
from connector.sandbox.amocrm.world import Route, World

COMPLEX_PATH = "/api/v4/leads/complex"
UNSORTED_PATH = "/api/v4/leads/unsorted"
MAX_COMPLEX = 50
CATEGORIES = ("sip", "forms")


@dataclass(slots=True)
class Unsorted:
    """One incoming lead; its contact and company are hidden until it is accepted."""

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


class Arrivals:
    """Incoming leads of the account and the writes that make them."""

    def __init__(self) -> None:
        self._rows: dict[str, Unsorted] = {}

    def add_complex(self, world: World, call: Call) -> Reply:
        """Bare array of ids; a new contact and company are linked with each other."""
        answers = []
        with world.portal.lock:
            batch = call.items(MAX_COMPLEX).check(partial(_check_tree, world))
            for name, item in batch:
                embedded = item.get("_embedded") or {}
                contact_id, company_id = _people(world, call, embedded)
                metadata = embedded.get("metadata")
                stage = None
                if isinstance(metadata, dict):
                    pipeline = world.portal.pipelines[item.get("pipeline_id") or world.main_pipeline().id]
                    stage = (pipeline.id, world.unsorted_stage(pipeline, insert=True).code)
                deal = leads.create(
                    world,
                    call,
                    item,
                    contact_ids=[contact_id] if contact_id is not None else [],
                    company_id=company_id,
                    stage=stage,
                )
                if isinstance(metadata, dict):
                    category = str(metadata.get("category", "forms"))
                    self._keep(world, item, category, metadata, deal.id, contact_id, company_id)
                answers.append(
                    {
                        "id": deal.id,
                        "contact_id": contact_id,
                        "company_id": company_id,
                        "request_id": [name],
                        "merged": False,
                    }
                )
        return hal(answers)

    def _keep(
        self,
        world: World,
        item: dict[str, Any],
        category: str,
        metadata: dict[str, Any],
        lead_id: int,
        contact_id: int | None,
        company_id: int | None,
    ) -> Unsorted:
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
        return row

    def add_unsorted(self, world: World, call: Call, *, category: str) -> Reply:
        with world.portal.lock:
            batch = call.items().check(partial(_check_unsorted, world))
            models = []
            for name, item in batch:
                embedded = item.get("_embedded") or {}
                contact_id, company_id = _people(world, call, embedded)
                pipeline = world.portal.pipelines[item.get("pipeline_id") or world.main_pipeline().id]
                lead = dict((embedded.get("leads") or [{}])[0])
                deal = leads.create(
                    world,
                    call,
                    {**lead, "responsible_user_id": 0, "created_by": 0},
                    contact_ids=[contact_id] if contact_id is not None else [],
                    company_id=company_id,
                    stage=(pipeline.id, world.unsorted_stage(pipeline, insert=True).code),
                )
                row = self._keep(world, item, category, item["metadata"], deal.id, contact_id, company_id)
                head = {"uid": row.uid, "account_id": world.account_id, "request_id": name}
                links = world.link(f"{UNSORTED_PATH}/{row.uid}")
                models.append({**head, "_links": links, "_embedded": _linked(world, row)})
        return hal({"_total_items": len(models), "_embedded": {"unsorted": models}})

    def listing(self, world: World, call: Call) -> Reply:
        makers: dict[str, filters.Maker] = {
            "uid": filters.word(lambda u: u.uid),
            "category": filters.word(lambda u: u.category),
            "pipeline_id": filters.number(lambda u: u.pipeline_id),
        }
        rows = [row for row in self._rows.values() if row.state == "waiting"]
        rows = filters.apply(rows, call.filter, makers)
        rows = ordered(
            call, rows, {"created_at": lambda u: u.created_at, "updated_at": lambda u: u.created_at}
        )
        return page_reply(call, world.base_url, "unsorted", rows, lambda u: _model(world, u))

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
            row.state = "accepted"
            return hal(_settled(world, row))

    def decline(self, world: World, call: Call, uid: str) -> Reply:
        """Put the lead into the trash; 200 with a body, unlike other deletions."""
        with world.portal.lock:
            row = self._waiting(uid)
            world.portal.delete_deal(row.lead_id, by=_user(world, call, _optional_body(call)))
            row.state = "declined"
            return hal(_settled(world, row))

    def summary(self, world: World, call: Call) -> Reply:
        rows = list(self._rows.values())
        counts = {name: {"total": 0} for name in ("sip", "mail", "forms", "chats")}
        for row in rows:
            counts[row.category]["total"] += 1
        return hal(
            {
                "total": len(rows),
                "accepted": sum(row.state == "accepted" for row in rows),
                "declined": sum(row.state == "declined" for row in rows),
                "average_sort_time": 0,
                "categories": counts,
            }
        )

    def routes(self) -> list[Route]:
        return [
            Route("POST", COMPLEX_PATH, self.add_complex),
            Route("GET", UNSORTED_PATH, self.listing),
            Route("GET", f"{UNSORTED_PATH}/summary", self.summary),
            Route("GET", f"{UNSORTED_PATH}/<uid>", self.one),
            Route("POST", f"{UNSORTED_PATH}/<uid>/accept", self.accept),
            Route("DELETE", f"{UNSORTED_PATH}/<uid>/decline", self.decline),
            *(
                Route("POST", f"{UNSORTED_PATH}/{name}", partial(self.add_unsorted, category=name))
                for name in CATEGORIES
            ),
        ]


def _optional_body(call: Call) -> dict[str, Any]:
    return call.item() if call.body else {}


def _user(world: World, call: Call, body: dict[str, Any]) -> int:
    given = body.get("user_id")
    return given if isinstance(given, int) and given in world.portal.users else call.user_id


def _people(world: World, call: Call, embedded: dict[str, Any]) -> tuple[int | None, int | None]:
    """Ids of the tree's contact and company, each stored when it came as a model."""
    company_id = _person(world, call, "companies", embedded)
    contact_id = _person(world, call, "contacts", embedded)
    if contact_id is not None and company_id is not None:
        contact = world.portal.contacts[contact_id]
        if contact.company_id is None:
            # Part of the same write: nobody is told of a second change.
            contact.company_id = company_id
            world.portal.contacts.touch(contact_id)
            world.portal.index.contacts_of_company.forget()
    return contact_id, company_id


def _person(world: World, call: Call, collection: str, embedded: dict[str, Any]) -> int | None:
    rows = embedded.get(collection)
    if not rows:
        return None
    if isinstance(rows[0].get("id"), int):
        return int(rows[0]["id"])
    return int(people.create(world, call, collection, rows[0]).id)


def _check_tree(world: World, item: dict[str, Any]) -> list[Violation]:
    embedded = item.get("_embedded")
    found = leads.check(world, item)
    return found or (_check_people(world, embedded) if isinstance(embedded, dict) else [])


def _check_people(world: World, embedded: dict[str, Any]) -> list[Violation]:
    found: list[Violation] = []
    for collection in ("contacts", "companies"):
        rows = embedded.get(collection) or []
        place = f"_embedded.{collection}"
        if not isinstance(rows, list) or len(rows) > 1 or not all(isinstance(r, dict) for r in rows):
            found.append(Violation("TooMany", place, "This collection should contain 1 element or less."))
            continue
        for row in rows:
            if row.get("id") is None:
                found += [
                    Violation(v.code, f"{place}.0.{v.path}", v.detail)
                    for v in people.check(world, collection, row)
                ]
            elif world.row(collection, row["id"]) is None:
                found.append(not_a_choice(f"{place}.0.id"))
    return found


def _check_unsorted(world: World, item: dict[str, Any]) -> list[Violation]:
    kinds = {
        "source_uid": STRING,
        "source_name": STRING,
        "metadata": OBJECT,
        "pipeline_id": INT,
        "created_at": UNIX,
    }
    found = check_types(item, kinds, required=("source_uid", "source_name", "metadata"))
    if found:
        return found
    if item.get("pipeline_id") and item["pipeline_id"] not in world.portal.pipelines:
        found.append(not_a_choice("pipeline_id"))
    if not isinstance(item["metadata"], dict):
        found.append(not_a_choice("metadata"))
    embedded = item.get("_embedded")
    if isinstance(embedded, dict):
        rows = embedded.get("leads") or []
        if not isinstance(rows, list) or len(rows) > 1 or not all(isinstance(r, dict) for r in rows):
            return [*found, not_a_choice("_embedded.leads")]
        for row in rows:
            found += leads.check(world, row)
        found += _check_people(world, embedded)
    return found


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
        "_links": world.link(f"{UNSORTED_PATH}/{row.uid}"),
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
