"""`POST /api/v4/leads/complex`: leads with their people in one write.

Source: reference 4.2. Duplicate control is off, as without an uploaded widget, unless a switch says so.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from connector.sandbox.amocrm import leads
from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.tree import check_people, same_people, store_people
from connector.sandbox.amocrm.unsorted import Arrivals
from connector.sandbox.amocrm.wire import Reply, Violation, hal, not_a_choice
from connector.sandbox.amocrm.world import Route, World

PATH = "/api/v4/leads/complex"
MAX_ITEMS = 50
MAX_VALUES = 40
#: More matches than these, and duplicate control joins nothing.
MAX_MATCHES = 3


class Complex:
    """The one method; leads with metadata become incoming ones of `arrivals`."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals

    def add(self, world: World, call: Call) -> Reply:
        """Bare array of ids; a new contact and company are linked with each other."""
        with world.portal.lock:
            batch = call.items(MAX_ITEMS).check(partial(_check, world))
            return hal([self._add_one(world, call, name, item) for name, item in batch])

    def _add_one(self, world: World, call: Call, name: str, item: dict[str, Any]) -> dict[str, Any]:
        embedded = item.get("_embedded")
        embedded = embedded if isinstance(embedded, dict) else {}
        contact_id, company_id, is_merged = self._people(world, call, embedded)
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
            rest = {key: value for key, value in metadata.items() if key != "category"}
            category = str(metadata.get("category", "forms"))
            self._arrivals.keep(world, item, category, rest, deal.id, contact_id, company_id)
        return {
            "id": deal.id,
            "contact_id": contact_id,
            "company_id": company_id,
            "request_id": [name],
            "merged": is_merged,
        }

    def _people(
        self, world: World, call: Call, embedded: dict[str, Any]
    ) -> tuple[int | None, int | None, bool]:
        """Ids of contact and company, and whether stored ones were taken for the written ones."""
        tree, is_merged = dict(embedded), False
        for collection in ("contacts", "companies") if world.switches.duplicate_control else ():
            rows = tree.get(collection) or []
            if rows and not isinstance(rows[0].get("id"), int):
                known = same_people(world, collection, rows[0])
                if 0 < len(known) <= MAX_MATCHES:
                    tree[collection], is_merged = [{"id": known[0]}], True
        return *store_people(world, call, tree), is_merged

    def routes(self) -> list[Route]:
        return [Route("POST", PATH, self.add)]


def _check(world: World, item: dict[str, Any]) -> list[Violation]:
    embedded = item.get("_embedded")
    if isinstance(embedded, dict) and isinstance(embedded.get("metadata"), dict):
        # The status of an incoming lead is its own; another one is ignored.
        item.pop("status_id", None)
    found = leads.check(world, item)
    if found:
        return found
    if len(item.get("custom_fields_values") or ()) > MAX_VALUES:
        detail = f"This collection should contain {MAX_VALUES} elements or less."
        return [Violation("TooMany", "custom_fields_values", detail)]
    if not isinstance(embedded, dict):
        return []
    metadata = embedded.get("metadata")
    if isinstance(metadata, dict) and metadata.get("category", "forms") not in ("sip", "forms"):
        return [not_a_choice("_embedded.metadata.category")]
    return check_people(world, embedded)
