"""`/api/v4/sources`: the integration's own sources, which are the account's channels.

Source: reference 2.2, 2.4 (the odd errors of a deletion), 4.16.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.amocrm.access import refuse_external
from connector.sandbox.amocrm.lists import whole_reply
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
    strings,
)
from connector.sandbox.amocrm.wire import (
    PROBLEM,
    ApiError,
    Reply,
    Violation,
    hal,
    no_content,
    not_a_choice,
    not_found,
    problem,
)
from connector.sandbox.amocrm.world import Route, World

PATH = "/api/v4/sources"
MAX_SOURCES, MAX_CALL, MAX_EXTERNAL_ID = 100, 50, 36
_KINDS: dict[str, Kind] = {
    "name": STRING,
    "pipeline_id": INT,
    "external_id": STRING,
    "default": BOOL,
    "origin_code": OPTIONAL_STRING,
    "services": LIST,
}


@dataclass(slots=True)
class _Details:
    """What a channel of the portal has no place for."""

    pipeline_id: int
    is_default: bool = False
    origin_code: str | None = None
    services: list[Any] = field(default_factory=list)


class Sources:
    """The sources by the id of their choice in the field «Источник»."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._details: dict[int, _Details] = {}

    def _rows(self) -> dict[int, tuple[str, str]]:
        """Channel code and name by id."""
        found = self._world.fields.by_code("leads", "SOURCE")
        codes = {name: code for code, name in self._world.portal.channels.items()}
        return {e.id: (codes[e.value], e.value) for e in (found.enums if found else ()) if e.value in codes}

    def _model(self, source_id: int, code: str, name: str) -> dict[str, Any]:
        details = self._details.get(source_id) or _Details(self._world.main_pipeline().id)
        return {
            "id": source_id,
            "name": name,
            "pipeline_id": details.pipeline_id,
            "external_id": code,
            "default": details.is_default,
            "origin_code": details.origin_code,
            "services": details.services,
            "_links": self._world.link(f"{PATH}/{source_id}"),
        }

    def listing(self, world: World, call: Call) -> Reply:
        refuse_external(world)
        wanted = set(strings(call.filter.get("external_id")))
        models = [
            self._model(source_id, code, name)
            for source_id, (code, name) in self._rows().items()
            if not wanted or code in wanted
        ]
        return whole_reply(world.base_url, PATH, "sources", models)

    def _known(self, source_id: int) -> tuple[str, str]:
        row = self._rows().get(source_id)
        if row is None:
            raise not_found("Source not found")
        return row

    def one(self, world: World, call: Call, source_id: int) -> Reply:
        refuse_external(world)
        return hal(self._model(source_id, *self._known(source_id)))

    def _check(self, item: dict[str, Any], *, is_new: bool) -> list[Violation]:
        found = check_types(item, _KINDS, required=("name", "external_id") if is_new else ())
        if found:
            return found
        portal = self._world.portal
        if "pipeline_id" in item and item["pipeline_id"] not in portal.pipelines:
            found.append(not_a_choice("pipeline_id"))
        if is_new and len(item["external_id"]) > MAX_EXTERNAL_ID:
            found.append(Violation("TooLong", "external_id", f"At most {MAX_EXTERNAL_ID} characters."))
        if is_new and item["external_id"] in portal.channels:
            found.append(Violation("NotUnique", "external_id", "This value is already used."))
        return found

    def add(self, world: World, call: Call) -> Reply:
        refuse_external(world)
        with world.portal.lock:
            batch = call.items(MAX_CALL).check(lambda item: self._check(item, is_new=True))
            if len(world.portal.channels) + len(batch.items) > MAX_SOURCES:
                raise ApiError(problem(400, "Sources limit exceeded"))
            models = []
            for name, item in batch:
                world.portal.channels[item["external_id"]] = item["name"]
                ids = {code: source_id for source_id, (code, _) in self._rows().items()}
                source_id = ids[item["external_id"]]
                self._apply(source_id, item)
                models.append(
                    {**self._model(source_id, *self._known(source_id)), "request_id": name},
                )
        return whole_reply(world.base_url, PATH, "sources", models)

    def _apply(self, source_id: int, item: dict[str, Any]) -> None:
        details = self._details.setdefault(source_id, _Details(self._world.main_pipeline().id))
        details.pipeline_id = item.get("pipeline_id", details.pipeline_id)
        details.origin_code = item.get("origin_code", details.origin_code)
        details.services = item.get("services") or details.services
        if item.get("default"):
            for other in self._details.values():
                other.is_default = False
        details.is_default = item.get("default", details.is_default)

    def _change(self, source_id: int, item: dict[str, Any]) -> dict[str, Any]:
        """The external id never changes."""
        code, _ = self._known(source_id)
        if item.get("name"):
            self._rename(source_id, code, item["name"])
        self._apply(source_id, item)
        return self._model(source_id, *self._known(source_id))

    def _rename(self, source_id: int, code: str, name: str) -> None:
        found = self._world.fields.by_code("leads", "SOURCE")
        assert found is not None
        found.enums = [type(e)(e.id, name, e.sort, e.code) if e.id == source_id else e for e in found.enums]
        self._world.portal.channels[code] = name

    def change(self, world: World, call: Call, source_id: int) -> Reply:
        refuse_external(world)
        with world.portal.lock:
            self._known(source_id)
            item = call.item()
            Batch([item]).check(lambda body: self._check(body, is_new=False))
            return hal(self._change(source_id, item))

    def change_many(self, world: World, call: Call) -> Reply:
        refuse_external(world)

        def rule(item: dict[str, Any]) -> list[Violation]:
            found = check_types(item, {"id": INT}, required=("id",))
            if not found and item["id"] not in self._rows():
                return [Violation("EntityNotFound", "id", f"source with id = {item['id']} not found")]
            return found or self._check(item, is_new=False)

        with world.portal.lock:
            batch = call.items(MAX_CALL).check(rule)
            models = [{**self._change(item["id"], item), "request_id": name} for name, item in batch]
        return whole_reply(world.base_url, PATH, "sources", models)

    def delete(self, world: World, call: Call, source_id: int) -> Reply:
        refuse_external(world)
        with world.portal.lock:
            self._remove(*self._known(source_id))
        return no_content()

    def delete_many(self, world: World, call: Call) -> Reply:
        """Unknown ids come back in an envelope that no other method has."""
        refuse_external(world)
        with world.portal.lock:
            rows = self._rows()
            batch = call.items(MAX_CALL)
            errors = [
                {
                    "request_id": name,
                    "errors": {
                        "code": "EntityNotFound",
                        "path": "id",
                        "detail": f"source with id = {item.get('id')} not found",
                    },
                }
                for name, item in batch
                if item.get("id") not in rows
            ]
            if errors:
                body = json.loads(problem(400, "Invalid request items").body)
                raise ApiError(Reply(400, json.dumps({"errors": errors, **body}).encode(), PROBLEM))
            for _, item in batch:
                self._remove(*rows[item["id"]])
        return no_content()

    def _remove(self, code: str, name: str) -> None:
        """Deals keep what they say of it."""
        self._world.portal.channels.pop(code)
        found = self._world.fields.by_code("leads", "SOURCE")
        if found is not None:
            found.enums = [enum for enum in found.enums if enum.value != name]

    def routes(self) -> list[Route]:
        return [
            Route("GET", PATH, self.listing),
            Route("POST", PATH, self.add),
            Route("PATCH", PATH, self.change_many),
            Route("DELETE", PATH, self.delete_many),
            Route("GET", f"{PATH}/<int:source_id>", self.one),
            Route("PATCH", f"{PATH}/<int:source_id>", self.change),
            Route("DELETE", f"{PATH}/<int:source_id>", self.delete),
        ]
