"""Pipelines, statuses and loss reasons: list, add, change, delete. Source: reference 2.2, 4.9.

Refusals of deletions are 422; their words are this sandbox's own (2.4: unverified).
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from connector.sandbox.amocrm.leads import loss_reason_model
from connector.sandbox.amocrm.lists import page_reply, whole_reply
from connector.sandbox.amocrm.request import (
    BOOL,
    INT,
    LIST,
    STRING,
    Batch,
    Call,
    Kind,
    check_embedded,
    check_types,
)
from connector.sandbox.amocrm.wire import (
    ApiError,
    Reply,
    Violation,
    blank,
    hal,
    no_content,
    not_a_choice,
    not_found,
    problem,
)
from connector.sandbox.amocrm.world import LOST, UNSORTED_NAME, WON, Route, World
from connector.sandbox.state import Pipeline, Stage

PATH = "/api/v4/leads/pipelines"
REASONS = "/api/v4/leads/loss_reasons"
MAX_PIPELINES, MAX_STATUSES, MAX_DESCRIPTION = 50, 100, 1000
LEVELS = ("newbie", "candidate", "master")
_FIRST_COLORS = "#fffeb2 #fffd7f #fff000 #ffeab2 #ffdc7f #ffce5a #ffdbdb #ffc8c8 #ff8f92 #d6eaff #c1e0ff"
_MORE_COLORS = "#98cbff #ebffb1 #deff81 #87f2c0 #f9deff #f3beff #ccc8f9 #eb93ff #f2f3f4 #e6e8ea"
COLORS = frozenset(_FIRST_COLORS.split() + _MORE_COLORS.split())
#: Sort and colour that nobody can change.
SYSTEM = {WON: (10_000, "#CCFF66"), LOST: (11_000, "#D5D8DB")}
_PIPELINE: dict[str, Kind] = {"name": STRING, "sort": INT, "is_main": BOOL, "is_unsorted_on": BOOL}
_STATUS: dict[str, Kind] = {"name": STRING, "sort": INT, "color": STRING, "descriptions": LIST}


def _status(world: World, pipeline: Pipeline, stage: Stage, with_: set[str]) -> dict[str, Any]:
    is_unsorted = stage.name == UNSORTED_NAME
    system = SYSTEM.get(int(stage.code))
    sort, color = system or ((10, "#c1c1c1") if is_unsorted else (stage.sort, stage.color))
    body = {
        "id": int(stage.code),
        "name": stage.name,
        "sort": sort,
        "is_editable": not is_unsorted and system is None,
        "pipeline_id": pipeline.id,
        "color": color,
        "type": 1 if is_unsorted else 0,
        "account_id": world.account_id,
        "_links": world.link(f"{PATH}/{pipeline.id}/statuses/{stage.code}"),
    }
    if "descriptions" in with_:
        body["descriptions"] = world.stage_texts.get((pipeline.id, stage.code), [])
    return body


def _statuses(world: World, pipeline: Pipeline, with_: set[str]) -> list[dict[str, Any]]:
    with world.portal.lock:
        unsorted = world.unsorted_stage(pipeline)
        stages = [unsorted, *(stage for stage in pipeline.stages if stage is not unsorted)]
        models = [_status(world, pipeline, stage, with_) for stage in stages]
    return sorted(models, key=lambda m: m["sort"])


def _pipeline(world: World, pipeline: Pipeline, with_: set[str]) -> dict[str, Any]:
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "sort": pipeline.sort,
        "is_main": pipeline.is_main,
        "is_unsorted_on": pipeline.id not in world.unsorted_off,
        "is_archive": False,
        "account_id": world.account_id,
        "_links": world.link(f"{PATH}/{pipeline.id}"),
        "_embedded": {"statuses": _statuses(world, pipeline, with_)},
    }


def listing(world: World, call: Call) -> Reply:
    models = [_pipeline(world, pipeline, call.with_) for pipeline in world.pipelines()]
    return whole_reply(world.base_url, PATH, "pipelines", models)


def _known(world: World, pipeline_id: int) -> Pipeline:
    found = world.portal.pipelines.get(pipeline_id)
    if found is None:
        raise not_found("Pipeline not found")
    return found


def one(world: World, call: Call, pipeline_id: int) -> Reply:
    return hal(_pipeline(world, _known(world, pipeline_id), call.with_))


def add(world: World, call: Call) -> Reply:
    batch = call.items(MAX_PIPELINES).check(_check_pipeline)
    models: list[dict[str, Any]] = []
    with world.portal.lock:
        if len(world.portal.pipelines) + len(batch.items) > MAX_PIPELINES:
            raise ApiError(problem(422, "Pipelines limit exceeded"))
        for name, item in batch:
            pipeline_id = max(world.portal.pipelines, default=3_000_000) + 1
            made = Pipeline(pipeline_id, item["name"], item["sort"], [], False)
            _add_stages(world, made, item)
            world.portal.pipelines[pipeline_id] = made
            _apply(world, made, item)
            models.append({**_pipeline(world, made, set()), "request_id": name})
    return whole_reply(world.base_url, PATH, "pipelines", models)


def _check_pipeline(item: dict[str, Any]) -> list[Violation]:
    found = check_types(item, _PIPELINE, required=_PIPELINE) + check_embedded(item, "statuses")
    if found or not isinstance(item.get("_embedded"), dict):
        return found
    for index, row in enumerate(item["_embedded"].get("statuses") or ()):
        found += check_types(row, {"id": INT, "name": STRING}, prefix=f"_embedded.statuses.{index}.")
    return found


def _apply(world: World, pipeline: Pipeline, item: dict[str, Any]) -> None:
    pipeline.name, pipeline.sort = item.get("name", pipeline.name), item.get("sort", pipeline.sort)
    if item.get("is_main"):
        for other in world.portal.pipelines.values():
            other.is_main = other.id == pipeline.id
    if "is_unsorted_on" in item:
        change = world.unsorted_off.discard if item["is_unsorted_on"] else world.unsorted_off.add
        change(pipeline.id)
    world.portal.revision += 1


def _add_stages(world: World, pipeline: Pipeline, item: dict[str, Any]) -> None:
    embedded = item.get("_embedded")
    wanted = embedded.get("statuses") if isinstance(embedded, dict) else None
    rows = [row for row in wanted or () if isinstance(row, dict)]
    names = {row.get("id"): str(row.get("name")) for row in rows}
    for index, row in enumerate(rows):
        if row.get("id") not in (WON, LOST):
            sort = row.get("sort") if isinstance(row.get("sort"), int) else 20 + index * 10
            _new_stage(world, pipeline, {**row, "sort": sort})
    for code, title, kind in (
        (WON, "Успешно реализовано", "won"),
        (LOST, "Закрыто и не реализовано", "lost"),
    ):
        sort, color = SYSTEM[code]
        pipeline.stages.append(Stage(str(code), pipeline.id, names.get(code, title), sort, kind, color))


def _new_stage(world: World, pipeline: Pipeline, row: dict[str, Any]) -> Stage:
    code = str(world.portal.new_id("amocrm_status", 40_000_001))
    color = str(row.get("color") or "#fffeb2")
    made = Stage(code, pipeline.id, str(row.get("name") or ""), row["sort"], "open", color)
    pipeline.stages.append(made)
    return made


def change(world: World, call: Call, pipeline_id: int) -> Reply:
    with world.portal.lock:
        pipeline, item = _known(world, pipeline_id), call.item()
        Batch([item]).check(lambda body: check_types(body, _PIPELINE))
        if item.get("is_main") is False and pipeline.is_main:
            raise ApiError(problem(422, "There must be a main pipeline"))
        _apply(world, pipeline, item)
        return hal(_pipeline(world, pipeline, call.with_))


def delete(world: World, call: Call, pipeline_id: int) -> Reply:
    """Neither the last one nor one with leads."""
    with world.portal.lock:
        pipeline = _known(world, pipeline_id)
        if len(world.portal.pipelines) == 1:
            raise ApiError(problem(422, "The last pipeline cannot be deleted"))
        if any(d.pipeline_id == pipeline_id and not d.is_deleted for d in world.portal.deals.values()):
            raise ApiError(problem(422, "Pipeline has leads"))
        del world.portal.pipelines[pipeline_id]
        if pipeline.is_main:
            world.pipelines()[0].is_main = True
        world.portal.revision += 1
    return no_content()


def statuses(world: World, call: Call, pipeline_id: int) -> Reply:
    models = _statuses(world, _known(world, pipeline_id), call.with_)
    return whole_reply(world.base_url, f"{PATH}/{pipeline_id}/statuses", "statuses", models)


def one_status(world: World, call: Call, pipeline_id: int, status_id: int) -> Reply:
    found = [m for m in _statuses(world, _known(world, pipeline_id), call.with_) if m["id"] == status_id]
    if not found:
        raise not_found("Status not found")
    return hal(found[0])


def _check_status(item: dict[str, Any], *, is_new: bool) -> list[Violation]:
    found = check_types(item, _STATUS, required=("name", "sort") if is_new else ())
    if found:
        return found
    if "name" in item and not item["name"].strip():
        found.append(blank("name"))
    if "color" in item and item["color"] not in COLORS:
        found.append(not_a_choice("color"))
    for index, text in enumerate(item.get("descriptions") or ()):
        place = f"descriptions.{index}"
        if not isinstance(text, dict) or text.get("level") not in LEVELS:
            found.append(not_a_choice(f"{place}.level"))
        elif len(str(text.get("description") or "")) > MAX_DESCRIPTION:
            found.append(Violation("TooLong", f"{place}.description", f"At most {MAX_DESCRIPTION}."))
    return found


def add_statuses(world: World, call: Call, pipeline_id: int) -> Reply:
    with world.portal.lock:
        pipeline = _known(world, pipeline_id)
        batch = call.items(MAX_STATUSES).check(lambda item: _check_status(item, is_new=True))
        if len(pipeline.stages) + len(batch.items) > MAX_STATUSES:
            raise ApiError(problem(422, "Statuses limit exceeded"))
        models = []
        for name, item in batch:
            made = _new_stage(world, pipeline, item)
            _describe(world, call, made, item)
            models.append({**_status(world, pipeline, made, {"descriptions"}), "request_id": name})
        pipeline.stages.sort(key=lambda stage: stage.sort)
        world.portal.revision += 1
    return whole_reply(world.base_url, f"{PATH}/{pipeline_id}/statuses", "statuses", models)


def _describe(world: World, call: Call, stage: Stage, item: dict[str, Any]) -> None:
    if "descriptions" not in item:
        return
    key = (stage.pipeline_id, stage.code)
    known = {text["level"]: text for text in world.stage_texts.get(key, [])}
    now = world.portal.now().astimezone(ZoneInfo(world.portal.timezone)).strftime("%Y-%m-%d %H:%M:%S")
    for text in item["descriptions"] or ():
        old = known.get(text["level"])
        known[text["level"]] = {
            "account_id": world.account_id,
            "created_at": old["created_at"] if old else now,
            "created_by": old["created_by"] if old else call.user_id,
            "description": str(text.get("description") or ""),
            "id": old["id"] if old else world.portal.new_id("amocrm_stage_text", 489),
            "level": text["level"],
            "pipeline_id": stage.pipeline_id,
            "status_id": int(stage.code),
            "updated_at": now,
            "updated_by": call.user_id if old else None,
        }
    world.stage_texts[key] = list(known.values())


def change_status(world: World, call: Call, pipeline_id: int, status_id: int) -> Reply:
    """The two ends may only be renamed; the unsorted one not even that."""
    with world.portal.lock:
        pipeline, item = _known(world, pipeline_id), call.item()
        stage = _stage(world, pipeline, status_id)
        Batch([item]).check(lambda body: _check_status(body, is_new=False))
        stage.name = item.get("name", stage.name)
        if status_id not in SYSTEM:
            stage.sort, stage.color = item.get("sort", stage.sort), item.get("color", stage.color)
        _describe(world, call, stage, item)
        pipeline.stages.sort(key=lambda s: s.sort)
        world.portal.revision += 1
        return hal(_status(world, pipeline, stage, {"descriptions"}))


def _stage(world: World, pipeline: Pipeline, status_id: int) -> Stage:
    stage = next((s for s in pipeline.stages if s.code == str(status_id)), None)
    if stage is None or stage.name == UNSORTED_NAME:
        raise not_found("Status not found")
    return stage


def delete_status(world: World, call: Call, pipeline_id: int, status_id: int) -> Reply:
    """Its leads move to the first status."""
    with world.portal.lock:
        pipeline = _known(world, pipeline_id)
        stage = _stage(world, pipeline, status_id)
        rest = [s for s in pipeline.stages if s.kind == "open" and s.name != UNSORTED_NAME and s is not stage]
        if status_id in SYSTEM or not rest:
            raise ApiError(problem(422, "Status cannot be deleted"))
        first = min(rest, key=lambda s: s.sort).code
        for deal in list(world.portal.deals.values()):
            if (deal.pipeline_id, deal.stage) == (pipeline_id, stage.code) and not deal.is_deleted:
                world.portal.update_deal(deal.id, {"stage": first}, by=call.user_id)
        pipeline.stages.remove(stage)
        world.portal.revision += 1
    return no_content()


def loss_reasons(world: World, call: Call) -> Reply:
    rows = sorted(world.portal.loss_reasons)
    return page_reply(
        call, world.base_url, "loss_reasons", rows, lambda i: loss_reason_model(world, i), totals=True
    )


def _known_reason(world: World, reason_id: int) -> None:
    if reason_id not in world.portal.loss_reasons:
        raise not_found("Loss reason not found")


def one_loss_reason(world: World, call: Call, reason_id: int) -> Reply:
    _known_reason(world, reason_id)
    return hal(loss_reason_model(world, reason_id))


def _check_reason(item: dict[str, Any], *, is_new: bool) -> list[Violation]:
    found = check_types(item, {"name": STRING, "sort": INT}, required=("name",) if is_new else ())
    return found or ([blank("name")] if "name" in item and not item["name"].strip() else [])


def add_loss_reasons(world: World, call: Call) -> Reply:
    """In the SDK, not in Kommo's documents."""
    with world.portal.lock:
        models = []
        for name, item in call.items().check(lambda body: _check_reason(body, is_new=True)):
            reason_id = max(world.portal.loss_reasons, default=4_203_747) + 1
            world.portal.loss_reasons[reason_id] = item["name"]
            models.append({**loss_reason_model(world, reason_id), "request_id": name})
    return whole_reply(world.base_url, REASONS, "loss_reasons", models)


def change_loss_reason(world: World, call: Call, reason_id: int) -> Reply:
    with world.portal.lock:
        _known_reason(world, reason_id)
        item = call.item()
        Batch([item]).check(lambda body: _check_reason(body, is_new=False))
        world.portal.loss_reasons[reason_id] = item.get("name", world.portal.loss_reasons[reason_id])
        return hal(loss_reason_model(world, reason_id))


def delete_loss_reason(world: World, call: Call, reason_id: int) -> Reply:
    with world.portal.lock:
        _known_reason(world, reason_id)
        del world.portal.loss_reasons[reason_id]
    return no_content()


_ONE = f"{PATH}/<int:pipeline_id>"
_STATUSES = f"{_ONE}/statuses"
_ONE_STATUS = f"{_STATUSES}/<int:status_id>"

ROUTES = [
    Route("GET", PATH, listing),
    Route("POST", PATH, add),
    Route("GET", _ONE, one),
    Route("PATCH", _ONE, change),
    Route("DELETE", _ONE, delete),
    Route("GET", _STATUSES, statuses),
    Route("POST", _STATUSES, add_statuses),
    Route("GET", _ONE_STATUS, one_status),
    Route("PATCH", _ONE_STATUS, change_status),
    Route("DELETE", _ONE_STATUS, delete_status),
    Route("GET", REASONS, loss_reasons),
    Route("POST", REASONS, add_loss_reasons),
    Route("GET", f"{REASONS}/<int:reason_id>", one_loss_reason),
    Route("PATCH", f"{REASONS}/<int:reason_id>", change_loss_reason),
    Route("DELETE", f"{REASONS}/<int:reason_id>", delete_loss_reason),
]
