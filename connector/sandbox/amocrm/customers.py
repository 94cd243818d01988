"""Customers, briefly: list, one, add, change, the mode, statuses, segments, purchases, bonus points.

Off in a fresh account, as in life: lists are empty and writes are refused. Custom fields, notes and links of
customers are not played: their lists are empty. Source: reference 4.15, 5, 6.2; statuses of the refusals are
unverified.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.amocrm import filters
from connector.sandbox.amocrm.lists import page_reply, whole_reply
from connector.sandbox.amocrm.request import (
    BOOL,
    INT,
    STRING,
    UNIX,
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
    hal,
    no_content,
    not_a_choice,
    not_found,
    problem,
    unknown_entity,
)
from connector.sandbox.amocrm.world import Route, World, author_of, minimal, query_matches

PATH = "/api/v4/customers"
MODES = ("segments", "periodicity")
_KINDS: dict[str, Kind] = {
    "name": STRING,
    "next_price": INT,
    "next_date": UNIX,
    "responsible_user_id": INT,
    "status_id": INT,
    "periodicity": INT,
}
_TRANSACTION: dict[str, Kind] = {"price": INT, "comment": STRING, "completed_at": UNIX}


@dataclass(slots=True)
class Customer:
    id: int
    created_by: int
    updated_by: int
    created_at: int
    updated_at: int
    responsible_user_id: int
    status_id: int
    name: str = ""
    next_price: int = 0
    next_date: int | None = None
    periodicity: int = 0
    bonus_points: int = 0
    contact_ids: list[int] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    segment_ids: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Transaction:
    id: int
    customer_id: int
    price: int
    comment: str | None
    completed_at: int
    created_by: int


@dataclass(slots=True)
class _Named:
    """A status or a segment."""

    id: int
    name: str


class Customers:
    """All customers of the account. `mode` is what `account` calls `customers_mode`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.customers: dict[int, Customer] = {}
        self.transactions: dict[int, Transaction] = {}
        self._lists = {
            "statuses": {4_740_028: _Named(4_740_028, "Спящие"), 4_740_031: _Named(4_740_031, "Активные")},
            "segments": {43: _Named(43, "Постоянные")},
        }

    def _need_mode(self) -> None:
        if self._world.customers_mode == "disabled":
            raise ApiError(problem(422, "Customers are disabled"))

    def set_mode(self, world: World, call: Call) -> Reply:
        item = call.item()
        kinds: dict[str, Kind] = {"mode": STRING, "is_enabled": BOOL}
        Batch([item]).check(lambda body: check_types(body, kinds, required=("mode",)))
        if item["mode"] not in MODES:
            raise ApiError(problem(400, "Unknown mode"))
        world.customers_mode = item["mode"] if item.get("is_enabled", True) else "disabled"
        return hal({"mode": item["mode"], "is_enabled": world.customers_mode != "disabled"})

    def listing(self, world: World, call: Call) -> Reply:
        makers: dict[str, filters.Maker] = {
            "id": filters.number(lambda c: c.id),
            "name": filters.text(lambda c: c.name),
            "status_id": filters.number(lambda c: c.status_id),
            "responsible_user_id": filters.number(lambda c: c.responsible_user_id),
            "next_price": filters.moment(lambda c: c.next_price),
            "next_date": filters.moment(lambda c: c.next_date),
            "updated_at": filters.moment(lambda c: c.updated_at),
        }
        rows = filters.apply(self.customers.values(), call.filter, makers)
        rows = [row for row in rows if query_matches(call.text("query"), (row.name,))]
        return page_reply(call, world.base_url, "customers", rows, lambda c: self._model(c, call.with_))

    def _bought(self, customer: Customer) -> list[int]:
        return [t.price for t in self.transactions.values() if t.customer_id == customer.id]

    def _model(self, customer: Customer, with_: set[str]) -> dict[str, Any]:
        bought = self._bought(customer)
        link = self._world.link
        embedded: dict[str, Any] = {
            "segments": [{"id": i, "_links": link(f"{PATH}/segments/{i}")} for i in customer.segment_ids],
            "tags": self._world.tag_models("customers", customer),
        }
        if "contacts" in with_:
            embedded["contacts"] = [
                {"id": i, "is_main": index == 0, "_links": link(f"/api/v4/contacts/{i}")}
                for index, i in enumerate(customer.contact_ids)
            ]
        embedded |= {name: [] for name in ("companies", "catalog_elements") if name in with_}
        return {
            "id": customer.id,
            "name": customer.name,
            "next_price": customer.next_price,
            "next_date": customer.next_date,
            "responsible_user_id": customer.responsible_user_id,
            "status_id": customer.status_id,
            "periodicity": customer.periodicity,
            "created_by": customer.created_by,
            "updated_by": customer.updated_by,
            "created_at": customer.created_at,
            "updated_at": customer.updated_at,
            "closest_task_at": None,
            "is_deleted": False,
            "custom_fields_values": None,
            "ltv": sum(bought),
            "purchases_count": len(bought),
            "average_check": sum(bought) // len(bought) if bought else 0,
            "account_id": self._world.account_id,
            "_links": link(f"{PATH}/{customer.id}"),
            "_embedded": embedded,
        }

    def one(self, world: World, call: Call, customer_id: int) -> Reply:
        found = self.customers.get(customer_id)
        return no_content() if found is None else hal(self._model(found, call.with_))

    def _known(self, customer_id: int) -> Customer:
        found = self.customers.get(customer_id)
        if found is None:
            raise not_found("Customer not found")
        return found

    def _check(self, item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, _KINDS) + self._world.check_user(item, "responsible_user_id")
        if not found and "status_id" in item and item["status_id"] not in self._lists["statuses"]:
            found.append(not_a_choice("status_id"))
        found += check_embedded(item, "contacts", "segments")
        embedded = item.get("_embedded")
        segments = embedded.get("segments") if isinstance(embedded, dict) else None
        for index, row in enumerate(segments if isinstance(segments, list) else ()):
            if not isinstance(row, dict) or row.get("id") not in list(self._lists["segments"]):
                found.append(not_a_choice(f"_embedded.segments.{index}.id"))
        return found + self._world.check_tags("customers", item)

    def add(self, world: World, call: Call) -> Reply:
        self._need_mode()
        rows = []
        with world.portal.lock:
            for name, item in call.items().check(self._check):
                now, by = world.now(), author_of(call, item)
                status_id = min(self._lists["statuses"], default=0)
                customer_id = world.portal.new_id("amocrm_customer", 134_923)
                made = Customer(customer_id, by, by, now, now, call.user_id, status_id)
                embedded = item.get("_embedded")
                contacts = embedded.get("contacts") if isinstance(embedded, dict) else None
                rows_given = [c for c in contacts or () if isinstance(c, dict)]
                made.contact_ids = [c["id"] for c in rows_given if world.row("contacts", c.get("id"))]
                self._apply(made, item)
                self.customers[customer_id] = made
                world.record("customer_added", "customer", customer_id, by=by)
                self._tell("add", made)
                rows.append(minimal(world, PATH, customer_id, request_id=name))
        return hal({"_links": world.link(PATH), "_embedded": {"customers": rows}})

    def _apply(self, customer: Customer, item: dict[str, Any]) -> None:
        for key in _KINDS:
            if key in item:
                setattr(customer, key, item[key])
        tags = self._world.new_tags("customers", customer, item)
        if tags is not None:
            customer.tags = tags
        embedded = item.get("_embedded")
        if isinstance(embedded, dict) and isinstance(embedded.get("segments"), list):
            customer.segment_ids = [row["id"] for row in embedded["segments"]]

    def _change(self, call: Call, item: dict[str, Any]) -> Customer:
        customer, world = self.customers[item["id"]], self._world
        status, user = customer.status_id, customer.responsible_user_id
        self._apply(customer, item)
        customer.updated_at, customer.updated_by = world.now(), author_of(call, item, "updated_by")
        if customer.status_id != status:
            world.record(
                "customer_status_changed",
                "customer",
                customer.id,
                by=customer.updated_by,
                after=[{"customer_status": {"id": customer.status_id}}],
                before=[{"customer_status": {"id": status}}],
            )
        if customer.responsible_user_id != user:
            self._tell("responsible", customer)
        self._tell("update", customer)
        return customer

    def change_many(self, world: World, call: Call) -> Reply:
        self._need_mode()

        def rule(item: dict[str, Any]) -> list[Violation]:
            found = check_types(item, {"id": INT}, required=("id",))
            if not found and item["id"] not in self.customers:
                return [unknown_entity("id", "customer", item["id"])]
            return found or self._check(item)

        with world.portal.lock:
            changed = [self._change(call, item) for _, item in call.items().check(rule)]
        rows = [minimal(world, PATH, c.id, updated_at=c.updated_at) for c in changed]
        return hal({"_links": world.link(PATH), "_embedded": {"customers": rows}})

    def change(self, world: World, call: Call, customer_id: int) -> Reply:
        self._need_mode()
        with world.portal.lock:
            self._known(customer_id)
            item = {**call.item(), "id": customer_id}
            Batch([item]).check(self._check)
            customer = self._change(call, item)
        return hal(minimal(world, PATH, customer.id, updated_at=customer.updated_at))

    def _tell(self, action: str, customer: Customer) -> None:
        """The shape of customers' hooks is of medium confidence (reference 6.2)."""
        item = {
            "id": customer.id,
            "name": customer.name,
            "next_price": customer.next_price,
            "next_date": customer.next_date,
            "main_user_id": customer.responsible_user_id,
            "status_id": customer.status_id,
            "created_at": customer.created_at,
            "updated_at": customer.updated_at,
        }
        self._world.announce(f"{action}_customer", {"customers": {action: [item]}})

    def purchases(self, world: World, call: Call, customer_id: int | None = None) -> Reply:
        makers: dict[str, filters.Maker] = {"id": filters.number(lambda t: t.id)}
        rows = [t for t in self.transactions.values() if customer_id in (None, t.customer_id)]
        rows = filters.apply(rows, call.filter, makers)
        return page_reply(call, world.base_url, "transactions", rows, self._transaction)

    def _transaction(self, row: Transaction) -> dict[str, Any]:
        link, path = self._world.link, f"{PATH}/{row.customer_id}"
        return {
            "id": row.id,
            "price": row.price,
            "comment": row.comment,
            "completed_at": row.completed_at,
            "customer_id": row.customer_id,
            "created_by": row.created_by,
            "updated_by": row.created_by,
            "created_at": row.completed_at,
            "updated_at": row.completed_at,
            "is_deleted": False,
            "account_id": self._world.account_id,
            "_links": link(f"{path}/transactions/{row.id}"),
            "_embedded": {"customer": {"id": row.customer_id, "_links": link(path)}},
        }

    def add_purchases(self, world: World, call: Call, customer_id: int) -> Reply:
        self._need_mode()
        with world.portal.lock:
            self._known(customer_id)
            models = []
            for name, item in call.items().check(lambda i: check_types(i, _TRANSACTION, required=("price",))):
                number = world.portal.new_id("amocrm_transaction", 134_643)
                moment = item.get("completed_at") or world.now()
                by = author_of(call, item)
                row = Transaction(number, customer_id, item["price"], item.get("comment"), moment, by)
                self.transactions[number] = row
                value = [{"transaction": {"id": number}}]
                world.record("transaction_added", "customer", customer_id, by=by, after=value)
                models.append({**self._transaction(row), "request_id": name})
        return hal({"_links": world.link(call.path), "_embedded": {"transactions": models}})

    def delete_purchase(self, world: World, call: Call, transaction_id: int) -> Reply:
        with world.portal.lock:
            if self.transactions.pop(transaction_id, None) is None:
                raise not_found("Transaction not found")
        return no_content()

    def bonus_points(self, world: World, call: Call, customer_id: int) -> Reply:
        """`earn` or `redeem` so many; never below zero."""
        self._need_mode()
        with world.portal.lock:
            customer, item = self._known(customer_id), call.item()
            Batch([item]).check(lambda body: check_types(body, {"earn": INT, "redeem": INT}))
            points = customer.bonus_points + item.get("earn", 0) - item.get("redeem", 0)
            if points < 0:
                raise ApiError(problem(400, "Not enough bonus points"))
            customer.bonus_points = points
            return hal({"bonus_points": points})

    def names(self, world: World, call: Call, kind: str) -> Reply:
        models = [self._named(kind, row) for row in self._lists[kind].values()]
        return whole_reply(world.base_url, f"{PATH}/{kind}", kind, models)

    def _named(self, kind: str, row: _Named) -> dict[str, Any]:
        links = self._world.link(f"{PATH}/{kind}/{row.id}")
        return {"id": row.id, "name": row.name, "account_id": self._world.account_id, "_links": links}

    def add_names(self, world: World, call: Call, kind: str) -> Reply:
        self._need_mode()
        with world.portal.lock:
            models = []
            for name, item in call.items().check(
                lambda i: check_types(i, {"name": STRING}, required=("name",))
            ):
                row = _Named(max(self._lists[kind], default=0) + 1, item["name"])
                self._lists[kind][row.id] = row
                models.append({**self._named(kind, row), "request_id": name})
        return whole_reply(world.base_url, f"{PATH}/{kind}", kind, models)

    def one_name(self, world: World, call: Call, kind: str, row_id: int) -> Reply:
        if row_id not in self._lists[kind]:
            raise not_found("Not found")
        return hal(self._named(kind, self._lists[kind][row_id]))

    def change_name(self, world: World, call: Call, kind: str, row_id: int) -> Reply:
        self._need_mode()
        with world.portal.lock:
            if row_id not in self._lists[kind]:
                raise not_found("Not found")
            Batch([item := call.item()]).check(lambda body: check_types(body, {"name": STRING}))
            row = self._lists[kind][row_id] = _Named(row_id, item.get("name", self._lists[kind][row_id].name))
        return hal(self._named(kind, row))

    def tags(self, world: World, call: Call) -> Reply:
        rows = sorted(world.tags.get("customers", {}).values(), key=lambda tag: tag.id)
        models = [{"id": tag.id, "name": tag.name, "color": None} for tag in rows]
        return page_reply(call, world.base_url, "tags", models, dict)

    def nothing(self, world: World, call: Call, customer_id: int | None = None) -> Reply:
        """Lists of what customers may have and here have none of: notes, links, files, fields."""
        return no_content()

    def delete_name(self, world: World, call: Call, kind: str, row_id: int) -> Reply:
        with world.portal.lock:
            if self._lists[kind].pop(row_id, None) is None:
                raise not_found("Not found")
        return no_content()

    def routes(self) -> list[Route]:
        one, kind = f"{PATH}/<int:customer_id>", f"{PATH}/<any(statuses, segments):kind>"
        return [
            Route("GET", PATH, self.listing),
            Route("POST", PATH, self.add),
            Route("PATCH", PATH, self.change_many),
            Route("PATCH", f"{PATH}/mode", self.set_mode),
            Route("GET", one, self.one),
            Route("PATCH", one, self.change),
            Route("GET", f"{PATH}/transactions", self.purchases),
            Route("DELETE", f"{PATH}/transactions/<int:transaction_id>", self.delete_purchase),
            Route("GET", f"{one}/transactions", self.purchases),
            Route("POST", f"{one}/transactions", self.add_purchases),
            Route("POST", f"{one}/bonus_points", self.bonus_points),
            Route("GET", kind, self.names),
            Route("POST", kind, self.add_names),
            Route("GET", f"{kind}/<int:row_id>", self.one_name),
            Route("PATCH", f"{kind}/<int:row_id>", self.change_name),
            Route("DELETE", f"{kind}/<int:row_id>", self.delete_name),
            Route("GET", f"{PATH}/tags", self.tags),
            Route("GET", f"{PATH}/custom_fields/groups", self.nothing),
            Route("GET", f"{PATH}/segments/custom_fields", self.nothing),
            *(Route("GET", f"{PATH}/{name}", self.nothing) for name in ("custom_fields", "notes", "links")),
            *(Route("GET", f"{one}/{name}", self.nothing) for name in ("notes", "links", "files")),
        ]


def _check_name(item: dict[str, Any]) -> list[Violation]:
    return check_types(item, {"name": STRING}, required=("name",))
