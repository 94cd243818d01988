"""What only the interface can do to entities: delete, restore from the trash, merge; and events. For tests.

The API answers 405 to these (reference 2.3, 4.1); their traces are hooks and events (5, 6.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.sandbox.amocrm.admin import Action
from connector.sandbox.amocrm.event_types import KEYS
from connector.sandbox.amocrm.world import ENTITIES, SINGULAR, World
from connector.sandbox.state import EntityType

_KINDS: Mapping[str, EntityType] = {**ENTITIES, "tasks": "task", "notes": "note"}


def hand_actions(world: World) -> dict[str, Action]:
    """Actions on `{"entity": "leads", "id": 1}`, by the last part of their address."""

    def delete(body: dict[str, Any]) -> dict[str, int]:
        kind, entity_id = _target(body)
        by = int(body.get("by") or world.api_user_id)
        if kind == "deal":
            world.portal.delete_deal(entity_id, by=by)
        else:
            world.portal.delete(kind, entity_id, by=by)
        return {"id": entity_id}

    def restore(body: dict[str, Any]) -> dict[str, int]:
        kind, entity_id = _target(body)
        if kind != "deal":
            raise ValueError("entity: из корзины песочница возвращает только leads")
        return {"id": world.portal.restore_deal(entity_id, by=int(body.get("by") or world.api_user_id)).id}

    def merge(body: dict[str, Any]) -> dict[str, int]:
        """One entity is taken up by another: the first is gone, the second has the event."""
        kind, _ = _target(body)
        into = body.get("into")
        if kind not in ENTITIES.values() or not isinstance(into, int):
            raise ValueError("into: нужен номер сущности, которая останется")
        if world.row(str(body["entity"]), into) is None:
            raise LookupError(f"{body['entity']} {into}: такой нет")
        delete(body)
        word = SINGULAR[str(body["entity"])]
        world.record("entity_merged", word, into, by=int(body.get("by") or world.api_user_id))
        return {"id": into}

    def happen(body: dict[str, Any]) -> dict[str, Any]:
        """Any event of the documents, with values as they word them: what the sandbox cannot bring about."""
        kind, word, entity_id = body.get("type"), body.get("entity"), body.get("id")
        if kind not in KEYS:
            raise ValueError(f"type: одно из {', '.join(sorted(KEYS))}")
        if word not in (*SINGULAR.values(), "customer") or not isinstance(entity_id, int):
            raise ValueError("entity: lead, contact, company, customer или task; id: номер")
        values = {side: body.get(side, []) for side in ("after", "before")}
        if not all(isinstance(v, list) and all(isinstance(i, dict) for i in v) for v in values.values()):
            raise ValueError("after и before: списки объектов")
        world.record(kind, word, entity_id, by=int(body.get("by") or 0), **values)
        return {"type": kind, "entity_id": entity_id}

    return {
        "entities/delete": delete,
        "entities/restore": restore,
        "entities/merge": merge,
        "events": happen,
    }


def _target(body: Mapping[str, Any]) -> tuple[EntityType, int]:
    kind, entity_id = _KINDS.get(str(body.get("entity"))), body.get("id")
    if kind is None or not isinstance(entity_id, int):
        raise ValueError(f"entity: одно из {', '.join(_KINDS)}; id: номер")
    return kind, entity_id
