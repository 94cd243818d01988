"""`/api/v4/tasks`: model, list, one, add, change. Source: reference 4.10."""

from __future__ import annotations

from typing import Any

from connector.sandbox.amocrm import filters
from connector.sandbox.amocrm.lists import ordered, page_reply
from connector.sandbox.amocrm.request import (
    BOOL,
    INT,
    OBJECT,
    OPTIONAL_INT,
    OPTIONAL_STRING,
    STRING,
    UNIX,
    Batch,
    Call,
    Kind,
    check_types,
)
from connector.sandbox.amocrm.wire import (
    Reply,
    Violation,
    blank,
    from_unix,
    hal,
    no_content,
    not_a_choice,
    not_found,
    unix,
    unknown_entity,
    wrong_type,
)
from connector.sandbox.amocrm.world import (
    COLLECTIONS,
    ENTITIES,
    Route,
    World,
    author_of,
    minimal,
    updated,
)
from connector.sandbox.state import Task

PATH = "/api/v4/tasks"

KINDS: dict[str, Kind] = {
    "text": STRING,
    "complete_till": UNIX,
    "task_type_id": INT,
    "entity_id": OPTIONAL_INT,
    "entity_type": OPTIONAL_STRING,
    "responsible_user_id": INT,
    "is_completed": BOOL,
    "result": OBJECT,
    "duration": INT,
    "created_by": INT,
    "updated_by": INT,
    "created_at": UNIX,
    "updated_at": UNIX,
}


def model(world: World, task: Task) -> dict[str, Any]:
    """A task; `result` is an object, or an empty array when there is none."""
    _, updated_by = world.author("task", task)
    return {
        "id": task.id,
        "created_by": task.created_by,
        "updated_by": updated_by,
        "created_at": unix(task.created_at),
        "updated_at": unix(task.updated_at),
        "responsible_user_id": task.responsible_id,
        "group_id": 0,
        "entity_id": task.entity_id,
        "entity_type": COLLECTIONS.get(task.entity or ""),
        "duration": world.durations.get(task.id, 0),
        "is_completed": task.is_done,
        "task_type_id": task.kind,
        "text": task.text,
        "result": {"text": task.result} if task.result else [],
        "complete_till": unix(task.due_at),
        "account_id": world.account_id,
        "_links": world.link(f"{PATH}/{task.id}"),
    }


MAKERS: dict[str, filters.Maker] = {
    "id": filters.number(lambda t: t.id),
    "responsible_user_id": filters.number(lambda t: t.responsible_id),
    "is_completed": filters.flag(lambda t: t.is_done),
    "task_type": filters.number(lambda t: t.kind),
    "task_type_id": filters.number(lambda t: t.kind),
    "entity_type": filters.word(lambda t: COLLECTIONS.get(t.entity or "", "")),
    "entity_id": filters.number(lambda t: t.entity_id),
    "updated_at": filters.moment(lambda t: unix(t.updated_at), scalar_is_since=True),
}


def listing(world: World, call: Call) -> Reply:
    rows = world.found(call, lambda: _search(world, call))
    return page_reply(call, world.base_url, "tasks", rows, lambda t: model(world, t))


def _search(world: World, call: Call) -> list[Task]:
    wanted = dict(call.filter)
    if "entity_type" not in wanted:
        # entity_id works together with entity_type only (reference 3).
        wanted.pop("entity_id", None)
    rows = filters.apply(world.portal.tasks.rows(), wanted, MAKERS)
    return ordered(
        call,
        rows,
        {"id": lambda t: t.id, "created_at": lambda t: t.created_at, "complete_till": lambda t: t.due_at},
    )


def one(world: World, call: Call, task_id: int) -> Reply:
    task = world.portal.tasks.get(task_id)
    return no_content() if task is None else hal(model(world, task))


def check(world: World, item: dict[str, Any], *, is_new: bool) -> list[Violation]:
    found = check_types(item, KINDS, required=("text", "complete_till") if is_new else ())
    if found:
        return found
    if "text" in item and not item["text"].strip():
        found.append(blank("text"))
    if "complete_till" in item and item["complete_till"] is None:
        found.append(wrong_type("complete_till", "int"))
    if item.get("responsible_user_id") is not None:
        found += world.check_user(item, "responsible_user_id")
    collection = item.get("entity_type")
    if collection is not None and collection not in ENTITIES:
        found.append(not_a_choice("entity_type"))
    elif item.get("entity_id") and world.row(collection or "", item["entity_id"]) is None:
        found.append(not_a_choice("entity_id"))
    return found


def _changes(world: World, item: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, attribute in (
        ("text", "text"),
        ("task_type_id", "kind"),
        ("responsible_user_id", "responsible_id"),
        ("is_completed", "is_done"),
    ):
        if item.get(key) is not None:
            result[attribute] = item[key]
    if "complete_till" in item:
        result["due_at"] = from_unix(item["complete_till"])
    if isinstance(item.get("result"), dict):
        result["result"] = str(item["result"].get("text") or "")
    if item.get("entity_type") is not None:
        result["entity"] = ENTITIES[item["entity_type"]]
    if item.get("entity_id") is not None:
        result["entity_id"] = item["entity_id"] or None
    return result


def create(world: World, call: Call, item: dict[str, Any]) -> Task:
    """Store a checked new task."""
    by, now = author_of(call, item), world.portal.now()
    values = {"responsible_id": by or call.user_id, "entity": None, "entity_id": None}
    values |= _changes(world, item)
    made = Task(
        id=0,
        created_by=by,
        created_at=from_unix(item.get("created_at")) or now,
        updated_at=now,
        **values,  # type: ignore[arg-type]
    )
    stored: Task = world.portal.add("task", made, by=by)
    if item.get("duration"):
        world.durations[stored.id] = item["duration"]
    return stored


def add(world: World, call: Call) -> Reply:
    with world.portal.lock:
        batch = call.items().check(lambda item: check(world, item, is_new=True))
        made = [(name, create(world, call, item)) for name, item in batch]
    rows = [minimal(world, PATH, task.id, request_id=name) for name, task in made]
    return hal({"_links": world.link(PATH), "_embedded": {"tasks": rows}})


def _patch(world: World, call: Call, item: dict[str, Any]) -> Task:
    if item.get("duration") is not None:
        world.durations[item["id"]] = item["duration"]
    by = author_of(call, item, "updated_by")
    changed: Task = world.portal.update("task", item["id"], _changes(world, item), by=by)
    return changed


def patch_many(world: World, call: Call) -> Reply:
    def rule(item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, {"id": INT}, required=("id",))
        if not found and item["id"] not in world.portal.tasks:
            return [unknown_entity("id", "task", item["id"])]
        return found or check(world, item, is_new=False)

    with world.portal.lock:
        batch = call.items().check(rule)
        changed = [(name, _patch(world, call, item)) for name, item in batch]
    rows = [minimal(world, PATH, t.id, updated_at=updated(t), request_id=name) for name, t in changed]
    return hal({"_links": world.link(PATH), "_embedded": {"tasks": rows}})


def patch_one(world: World, call: Call, task_id: int) -> Reply:
    with world.portal.lock:
        if task_id not in world.portal.tasks:
            raise not_found("Task not found")
        item = {**call.item(), "id": task_id}
        batch = Batch([item]).check(lambda body: check(world, body, is_new=False))
        name, _ = next(iter(batch))
        task = _patch(world, call, item)
    return hal(minimal(world, PATH, task_id, updated_at=updated(task), request_id=name))


ROUTES = [
    Route("GET", PATH, listing),
    Route("POST", PATH, add),
    Route("PATCH", PATH, patch_many),
    Route("GET", f"{PATH}/<int:task_id>", one),
    Route("PATCH", f"{PATH}/<int:task_id>", patch_one),
]
