"""Groups of custom fields: list, one, add, change, delete. Source: reference 4.6.

A group's id is a string; the predefined ones can be neither changed nor deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from connector.sandbox.amocrm.lists import whole_reply
from connector.sandbox.amocrm.request import INT, STRING, Batch, Call, check_types
from connector.sandbox.amocrm.wire import (
    ApiError,
    Reply,
    Violation,
    blank,
    hal,
    no_content,
    not_found,
    problem,
)
from connector.sandbox.amocrm.world import ENTITIES, Route, World


@dataclass(slots=True)
class _Group:
    id: str
    name: str
    sort: int
    is_predefined: bool = False
    type: str = "custom_field_group"


class FieldGroups:
    def __init__(self, world: World) -> None:
        self._world = world
        self._groups = {
            collection: {
                "default": _Group("default", "Основное", 0, True),
                "statistic": _Group("statistic", "Статистика", 2, True, "linked_group"),
            }
            for collection in ENTITIES
        }

    def _model(self, collection: str, group: _Group) -> dict[str, Any]:
        return {
            "id": group.id,
            "name": group.name,
            "is_predefined": group.is_predefined,
            "type": group.type,
            "entity_type": collection,
            "sort": group.sort,
            "_links": self._world.link(f"{_path(collection)}/{group.id}"),
        }

    def listing(self, world: World, call: Call, *, collection: str) -> Reply:
        groups = sorted(self._groups[collection].values(), key=lambda g: g.sort)
        models = [self._model(collection, group) for group in groups]
        return whole_reply(world.base_url, _path(collection), "custom_field_groups", models)

    def _known(self, collection: str, group_id: str) -> _Group:
        group = self._groups[collection].get(group_id)
        if group is None:
            raise not_found("Custom field group not found")
        return group

    def one(self, world: World, call: Call, group_id: str, *, collection: str) -> Reply:
        return hal(self._model(collection, self._known(collection, group_id)))

    def add(self, world: World, call: Call, *, collection: str) -> Reply:
        with world.portal.lock:
            models = []
            for name, item in call.items().check(lambda body: _check(body, is_new=True)):
                number = world.portal.new_id("amocrm_field_group", 2745)
                sort = item.get("sort", len(self._groups[collection]))
                group = _Group(f"{collection}_{number}", item["name"], sort)
                self._groups[collection][group.id] = group
                models.append({**self._model(collection, group), "request_id": name})
        return whole_reply(world.base_url, _path(collection), "custom_field_groups", models)

    def _changeable(self, collection: str, group_id: str) -> _Group:
        group = self._known(collection, group_id)
        if group.is_predefined:
            raise ApiError(problem(422, "Predefined group"))
        return group

    def change(self, world: World, call: Call, group_id: str, *, collection: str) -> Reply:
        with world.portal.lock:
            group, item = self._changeable(collection, group_id), call.item()
            Batch([item]).check(lambda body: _check(body, is_new=False))
            group.name, group.sort = item.get("name", group.name), item.get("sort", group.sort)
            return hal(self._model(collection, group))

    def delete(self, world: World, call: Call, group_id: str, *, collection: str) -> Reply:
        with world.portal.lock:
            del self._groups[collection][self._changeable(collection, group_id).id]
        return no_content()

    def routes(self) -> list[Route]:
        routes = []
        for collection in ENTITIES:
            path, one_path = _path(collection), f"{_path(collection)}/<group_id>"
            routes += [
                Route("GET", path, partial(self.listing, collection=collection)),
                Route("POST", path, partial(self.add, collection=collection)),
                Route("GET", one_path, partial(self.one, collection=collection)),
                Route("PATCH", one_path, partial(self.change, collection=collection)),
                Route("DELETE", one_path, partial(self.delete, collection=collection)),
            ]
        return routes


def _path(collection: str) -> str:
    return f"/api/v4/{collection}/custom_fields/groups"


def _check(item: dict[str, Any], *, is_new: bool) -> list[Violation]:
    found = check_types(item, {"name": STRING, "sort": INT}, required=("name",) if is_new else ())
    return found or ([blank("name")] if "name" in item and not item["name"].strip() else [])
