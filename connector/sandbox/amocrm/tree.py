"""A lead's contact and company written together with it, by id or as whole models.

Shared by `leads/complex` and incoming leads. Source: reference 4.2, 4.13.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from connector.sandbox.amocrm import people
from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.wire import Violation, not_a_choice
from connector.sandbox.amocrm.world import World


def store_people(world: World, call: Call, embedded: dict[str, Any]) -> tuple[int | None, int | None]:
    """Ids of the tree's contact and company, each stored when it came as a model."""
    company_id = _person(world, call, "companies", embedded)
    contact_id = _person(world, call, "contacts", embedded)
    if contact_id is not None and company_id is not None:
        contact = world.portal.contacts[contact_id]
        if contact.company_id is None:
            # Part of the same write: nobody is told of a second change.
            world.portal.contacts[contact_id] = replace(contact, company_id=company_id)
    return contact_id, company_id


def _person(world: World, call: Call, collection: str, embedded: dict[str, Any]) -> int | None:
    rows = embedded.get(collection)
    if not rows:
        return None
    if isinstance(rows[0].get("id"), int):
        return int(rows[0]["id"])
    return int(people.create(world, call, collection, rows[0]).id)


def same_people(world: World, collection: str, item: dict[str, Any]) -> list[int]:
    """Ids of stored contacts or companies with a phone or e-mail of the written one, oldest first."""
    wanted = {
        _address(value.get("value"))
        for field in item.get("custom_fields_values") or ()
        if isinstance(field, dict) and field.get("field_code") in ("PHONE", "EMAIL")
        for value in field.get("values") or ()
        if isinstance(value, dict)
    } - {""}
    rows = world.portal.contacts.rows() if collection == "contacts" else world.portal.companies.rows()
    return [row.id for row in rows if wanted & {_address(text) for text in (*row.phones, *row.emails)}]


def _address(text: object) -> str:
    """A phone by its last ten digits, an e-mail without regard to case."""
    plain = str(text or "").strip().lower()
    return plain if "@" in plain else "".join(sign for sign in plain if sign.isdigit())[-10:]


def check_people(world: World, embedded: dict[str, Any]) -> list[Violation]:
    """What is wrong with the people of a tree: one of each kind, known or well written."""
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
