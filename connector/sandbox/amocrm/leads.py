"""`/api/v4/leads`: model, list, one, add, change.

Source: reference 4.0, 4.1. Sums are whole units here, as the real field is an int.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connector.sandbox.amocrm import filters
from connector.sandbox.amocrm.invoices import meet_invoices
from connector.sandbox.amocrm.lists import ordered, page_reply
from connector.sandbox.amocrm.products import lead_elements
from connector.sandbox.amocrm.request import (
    INT,
    LIST,
    OBJECT,
    OPTIONAL_INT,
    OPTIONAL_STRING,
    UNIX,
    Batch,
    Call,
    Kind,
    check_embedded,
    check_types,
)
from connector.sandbox.amocrm.wire import (
    Reply,
    Violation,
    from_unix,
    hal,
    no_content,
    not_a_choice,
    not_found,
    unix,
    unknown_entity,
)
from connector.sandbox.amocrm.world import (
    LOST,
    Route,
    World,
    author_of,
    minimal,
    query_matches,
    updated,
)
from connector.sandbox.state import Deal

PATH = "/api/v4/leads"

KINDS: dict[str, Kind] = {
    "name": OPTIONAL_STRING,
    "price": OPTIONAL_INT,
    "status_id": INT,
    "pipeline_id": INT,
    "responsible_user_id": INT,
    "created_by": INT,
    "updated_by": INT,
    "created_at": UNIX,
    "updated_at": UNIX,
    "closed_at": UNIX,
    "loss_reason_id": OPTIONAL_INT,
    "custom_fields_values": LIST,
    "tags_to_add": LIST,
    "tags_to_delete": LIST,
    "_embedded": OBJECT,
}


#: Not documented; a price that no one pays.
MAX_PRICE = 10**15
#: What `price` takes in an account with minor units, where the SDK sends a float.
PRICE_WITH_KOPECKS: Kind = ("float", lambda v: v is None or (type(v) in (int, float) and abs(v) < MAX_PRICE))
_WHOLE_PRICE: Kind = (OPTIONAL_INT[0], lambda v: OPTIONAL_INT[1](v) and abs(v or 0) < MAX_PRICE)


def price_of(deal: Deal) -> int:
    """The amount as the int field holds it: no amount is 0, kopecks are rounded."""
    return int((deal.amount or Decimal(0)).quantize(Decimal(1), ROUND_HALF_UP))


def source_of(world: World, deal: Deal) -> dict[str, Any] | None:
    """The deal's source as `{id, name}`, from its channel."""
    found = world.fields.by_code("leads", "SOURCE")
    names = found.get(deal) if found else []
    enum = found.enum_by_value(names[0]) if found and names else None
    return {"id": enum.id, "name": enum.value} if enum else None


def model(world: World, deal: Deal, with_: set[str]) -> dict[str, Any]:
    """A lead as lists and single reads answer it."""
    source = source_of(world, deal) if with_ & {"source", "source_id"} else None
    body: dict[str, Any] = {
        "id": deal.id,
        "name": deal.name or f"Сделка #{deal.id}",
        "price": price_of(deal),
        "responsible_user_id": deal.responsible_id,
        "group_id": 0,
        "status_id": int(deal.stage),
        "pipeline_id": deal.pipeline_id,
        "loss_reason_id": deal.loss_reason_id,
        "source_id": source["id"] if source and "source_id" in with_ else None,
        "created_by": deal.created_by,
        "updated_by": deal.updated_by,
        "created_at": unix(deal.created_at),
        "updated_at": unix(deal.updated_at),
        "closed_at": unix(deal.closed_at),
        "closest_task_at": unix(world.closest_task("deal", deal.id)),
        "is_deleted": deal.is_deleted,
        "custom_fields_values": world.codec.read("leads", deal),
        "score": None,
        "account_id": world.account_id,
        "labor_cost": None,
    }
    if world.switches.minor_units:
        body["price_with_minor_units"] = float(deal.amount or 0)
    if "is_price_modified_by_robot" in with_:
        body["is_price_modified_by_robot"] = False
    body["_links"] = world.link(f"{PATH}/{deal.id}")
    body["_embedded"] = _embedded(world, deal, with_, source)
    return body


def _embedded(world: World, deal: Deal, with_: set[str], source: dict[str, Any] | None) -> dict[str, Any]:
    companies = [deal.company_id] if deal.company_id is not None else []
    embedded: dict[str, Any] = {"tags": world.tag_models("leads", deal)}
    if "catalog_elements" in with_:
        meet_invoices(world)
        embedded["catalog_elements"] = lead_elements(world, deal)
    if "loss_reason" in with_:
        reason = deal.loss_reason_id
        embedded["loss_reason"] = [loss_reason_model(world, reason)] if reason is not None else []
    embedded["companies"] = [{"id": i, "_links": world.link(f"/api/v4/companies/{i}")} for i in companies]
    if "contacts" in with_:
        embedded["contacts"] = [
            {"id": i, "is_main": index == 0, "_links": world.link(f"/api/v4/contacts/{i}")}
            for index, i in enumerate(deal.contact_ids)
        ]
    if "source" in with_ and source:
        embedded["source"] = source
    return embedded


def loss_reason_model(world: World, reason_id: int) -> dict[str, Any]:
    """A loss reason; it has existed as long as the account."""
    order = sorted(world.portal.loss_reasons)
    return {
        "id": reason_id,
        "name": world.portal.loss_reasons.get(reason_id, ""),
        "sort": 100_000 + (order.index(reason_id) if reason_id in order else 0),
        "created_at": 1_582_117_280,
        "updated_at": 1_582_117_280,
        "_links": world.link(f"{PATH}/loss_reasons/{reason_id}"),
    }


def _skeleton(world: World, deal: Deal) -> dict[str, Any]:
    """A lead in the trash: nearly all is null. Source: reference 4.1, only_deleted."""
    body = {key: None for key in model(world, deal, set()) if not key.startswith("_")}
    return {
        **body,
        "id": deal.id,
        "updated_by": deal.updated_by,
        "updated_at": unix(deal.updated_at),
        "is_deleted": True,
        "account_id": world.account_id,
        "_links": world.link(f"{PATH}/{deal.id}"),
        "_embedded": {"tags": [], "companies": []},
    }


def _makers(world: World) -> dict[str, filters.Maker]:
    return {
        "id": filters.number(lambda d: d.id),
        "name": filters.text(lambda d: d.name),
        "price": filters.moment(price_of),
        "statuses": filters.statuses,
        "pipeline_id": filters.number(lambda d: d.pipeline_id),
        "created_by": filters.number(lambda d: d.created_by),
        "updated_by": filters.number(lambda d: d.updated_by),
        "responsible_user_id": filters.number(lambda d: d.responsible_id),
        "created_at": filters.moment(lambda d: unix(d.created_at)),
        "updated_at": filters.moment(lambda d: unix(d.updated_at)),
        "closed_at": filters.moment(lambda d: unix(d.closed_at)),
        "closest_task_at": filters.moment(lambda d: unix(world.closest_task("deal", d.id))),
        "custom_fields_values": filters.custom_fields(world, "leads"),
    }


def listing(world: World, call: Call) -> Reply:
    rows = world.found(call, lambda: _search(world, call))
    if "only_deleted" in call.with_:
        return page_reply(call, world.base_url, "leads", rows, lambda d: _skeleton(world, d))
    return page_reply(call, world.base_url, "leads", rows, lambda d: model(world, d, call.with_))


def _search(world: World, call: Call) -> list[Deal]:
    deals = world.portal.deals.rows()
    deleted = "only_deleted" in call.with_
    rows = [d for d in deals if d.is_deleted == deleted]
    if world.switches.filters_paid:
        rows = filters.apply(rows, call.filter, _makers(world))
    if call.text("query"):
        rows = [d for d in rows if query_matches(call.text("query"), (d.name, str(d.id), str(price_of(d))))]
    return ordered(
        call,
        rows,
        {"id": lambda d: d.id, "created_at": lambda d: d.created_at, "updated_at": lambda d: d.updated_at},
    )


def one(world: World, call: Call, lead_id: int) -> Reply:
    deal = world.portal.deals.get(lead_id)
    if deal is None or (deal.is_deleted and not world.switches.deleted_is_readable):
        return no_content()
    return hal(model(world, deal, call.with_))


def check(world: World, item: dict[str, Any], row: Deal | None = None) -> list[Violation]:
    """What is wrong with a written lead; `row` is the one that a PATCH changes."""
    kinds = {**KINDS, "price": PRICE_WITH_KOPECKS if world.switches.minor_units else _WHOLE_PRICE}
    found = check_types(item, kinds) + check_embedded(item, "tags", "contacts", "companies")
    if found:
        return found
    found += world.codec.check("leads", item.get("custom_fields_values"))
    found += world.check_tags("leads", item)
    for key in ("responsible_user_id", "created_by", "updated_by"):
        found += world.check_user(item, key)
    if item.get("loss_reason_id") is not None and item["loss_reason_id"] not in world.portal.loss_reasons:
        found.append(not_a_choice("loss_reason_id"))
    found += _check_place(world, item, row)
    return found + _check_embedded(world, item)


def _check_place(world: World, item: dict[str, Any], row: Deal | None) -> list[Violation]:
    if item.get("pipeline_id", 0) and item["pipeline_id"] not in world.portal.pipelines:
        return [not_a_choice("pipeline_id")]
    if ("status_id" in item or "pipeline_id" in item) and place(world, item, row) is None:
        return [not_a_choice("status_id")]
    return []


def place(world: World, item: dict[str, Any], row: Deal | None) -> tuple[int, str] | None:
    """The (pipeline, stage) that a write asks for; None when there is no such pair.

    A pipeline alone means its first stage; a status alone means the pipeline that the deal is in, or has it.
    """
    portal, pipeline_id, status = world.portal, item.get("pipeline_id"), item.get("status_id")
    if status is None:
        if pipeline_id is None and row is not None:
            return row.pipeline_id, row.stage
        pipeline = portal.pipelines.get(pipeline_id) if pipeline_id else world.main_pipeline()
        return (pipeline.id, world.first_stage(pipeline).code) if pipeline else None
    if pipeline_id is None:
        candidates = [row.pipeline_id] if row is not None else []
        candidates += [world.main_pipeline().id, *portal.pipelines]
    else:
        candidates = [pipeline_id]
    for candidate in candidates:
        if any(stage.code == str(status) for stage in portal.pipelines[candidate].stages):
            return candidate, str(status)
    return None


def _check_embedded(world: World, item: dict[str, Any]) -> list[Violation]:
    embedded = item.get("_embedded")
    if not isinstance(embedded, dict):
        return []
    found = []
    for key in ("contacts", "companies"):
        for index, linked in enumerate(embedded.get(key) or ()):
            entity_id = linked.get("id") if isinstance(linked, dict) else None
            if entity_id is not None and world.row(key, entity_id) is None:
                found.append(not_a_choice(f"_embedded.{key}.{index}.id"))
    return found


def changes(world: World, item: dict[str, Any], row: Deal | None) -> dict[str, Any]:
    """Portal attributes that a checked write sets; keys that it does not name stay out."""
    result: dict[str, Any] = {}
    if item.get("name") is not None:
        result["name"] = item["name"]
    if "price" in item:
        result["amount"] = None if item["price"] is None else Decimal(str(item["price"]))
    if item.get("responsible_user_id") is not None:
        result["responsible_id"] = item["responsible_user_id"]
    if row is None or "status_id" in item or "pipeline_id" in item:
        found = place(world, item, row)
        if found is not None:
            result["pipeline_id"], result["stage"] = found
    if item.get("closed_at") is not None:
        result["closed_at"] = from_unix(item["closed_at"])
    stage = result.get("stage", row.stage if row else "")
    if "loss_reason_id" in item and (stage == str(LOST) or item["loss_reason_id"] is None):
        result["loss_reason_id"] = item["loss_reason_id"]
    moment = from_unix(item.get("updated_at"))
    if moment is not None or (row is not None and world.switches.empty_patch_touches):
        result["updated_at"] = moment or world.portal.now()
    tags = world.new_tags("leads", row, item)
    if tags is not None:
        result["tags"] = tags
    result.update(world.codec.changes("leads", row, item.get("custom_fields_values")))
    return result


def linked_ids(item: dict[str, Any], key: str) -> list[int]:
    """Ids of `_embedded.{key}`, the main one first."""
    embedded = item.get("_embedded")
    rows = embedded.get(key) if isinstance(embedded, dict) else None
    known = [r for r in rows or () if isinstance(r, dict) and isinstance(r.get("id"), int)]
    known.sort(key=lambda r: not r.get("is_main"))
    return [r["id"] for r in known]


def create(
    world: World,
    call: Call,
    item: dict[str, Any],
    *,
    contact_ids: list[int] | None = None,
    company_id: int | None = None,
    stage: tuple[int, str] | None = None,
) -> Deal:
    """Store a checked new lead; links may be handed in by `leads/complex` and unsorted."""
    values = changes(world, item, None)
    if stage is not None:
        values["pipeline_id"], values["stage"] = stage
    companies = linked_ids(item, "companies")
    deal = Deal(
        id=0,
        name=values.pop("name", ""),
        pipeline_id=values.pop("pipeline_id"),
        stage=values.pop("stage"),
        amount=values.pop("amount", None),
        currency=world.portal.currency,
        responsible_id=values.pop("responsible_id", call.user_id),
        contact_ids=contact_ids if contact_ids is not None else linked_ids(item, "contacts"),
        company_id=company_id if company_id is not None else (companies[0] if companies else None),
        created_at=from_unix(item.get("created_at")) or world.portal.now(),
        **values,
    )
    return world.portal.add_deal(deal, by=author_of(call, item))


def add(world: World, call: Call) -> Reply:
    with world.portal.lock:
        batch = call.items().check(lambda item: check(world, item))
        made = [(name, create(world, call, item)) for name, item in batch]
    rows = [minimal(world, PATH, deal.id, request_id=name) for name, deal in made]
    return hal({"_links": world.link(PATH), "_embedded": {"leads": rows}})


def _patch(world: World, call: Call, item: dict[str, Any]) -> Deal:
    deal = world.portal.deals[item["id"]]
    return world.portal.update_deal(
        deal.id, changes(world, item, deal), by=author_of(call, item, "updated_by")
    )


def patch_many(world: World, call: Call) -> Reply:
    def rule(item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, {"id": INT}, required=("id",))
        if found:
            return found
        row = world.row("leads", item["id"])
        return [unknown_entity("id", "lead", item["id"])] if row is None else check(world, item, row)

    with world.portal.lock:
        changed = [_patch(world, call, item) for _, item in call.items().check(rule)]
    rows = [minimal(world, PATH, deal.id, updated_at=updated(deal)) for deal in changed]
    return hal({"_links": world.link(PATH), "_embedded": {"leads": rows}})


def patch_one(world: World, call: Call, lead_id: int) -> Reply:
    with world.portal.lock:
        row = world.row("leads", lead_id)
        if row is None:
            raise not_found("Lead not found")
        item = {**call.item(), "id": lead_id}
        Batch([item]).check(lambda body: check(world, body, row))
        deal = _patch(world, call, item)
    return hal(minimal(world, PATH, deal.id, updated_at=updated(deal)))


ROUTES = [
    Route("GET", PATH, listing),
    Route("POST", PATH, add),
    Route("PATCH", PATH, patch_many),
    Route("GET", f"{PATH}/<int:lead_id>", one),
    Route("PATCH", f"{PATH}/<int:lead_id>", patch_one),
]
