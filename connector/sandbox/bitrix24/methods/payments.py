"""`crm.item.payment.*` and the client's payment link. Source: reference section 4.7.

Who pays in the sandbox is the API (`pay`): behind the link there is no page.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.events import Notice
from connector.sandbox.bitrix24.kinds import find_object
from connector.sandbox.bitrix24.wire import RestError, is_yes, moment, parse_decimal, parse_int

TABLE = MethodTable()

_SYSTEMS: Final = {6: "Наличные", 7: "Банковский перевод"}
#: The smallest PNG: a real portal draws a QR code of the link.
_PIXEL: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@dataclass(slots=True)
class Payment:
    """A request for money at a deal; `parts`: quantity by row id."""

    id: int
    type_id: int
    owner_id: int
    order_id: int
    number: str
    access: str
    paid_at: datetime | None = None
    paid_by: int | None = None
    system_id: int = 6
    parts: dict[int, tuple[int, Decimal]] = field(default_factory=dict)


def _payment(call: Call, name: str = "id") -> Payment:
    found = call.site.payments.get(parse_int(call.params.get(name)) or 0)
    if found is None:
        raise RestError(400, "0", "Payment has not been found")
    return found


def _rows(call: Call, payment: Payment) -> dict[int, Any]:
    owner = find_object(call.site, payment.type_id, payment.owner_id)
    return {row.id: row for row in getattr(owner, "rows", ())}


def _sum(call: Call, payment: Payment) -> Decimal:
    rows = _rows(call, payment)
    return sum(
        (rows[row_id].price * quantity for row_id, quantity in payment.parts.values() if row_id in rows),
        Decimal(0),
    )


def _shown(call: Call, payment: Payment) -> dict[str, Any]:
    return {
        "id": payment.id,
        "accountNumber": payment.number,
        "paid": "Y" if payment.paid_at else "N",
        "datePaid": moment(payment.paid_at, call.site.zone) if payment.paid_at else None,
        "empPaidId": payment.paid_by,
        "paySystemId": payment.system_id,
        "sum": _sum(call, payment),
        "currency": call.site.portal.currency,
        "paySystemName": _SYSTEMS.get(payment.system_id, ""),
    }


def _tell(call: Call, payment: Payment) -> None:
    data = {"FIELDS": {"ID": payment.id}}
    call.site.events.tell(Notice("ONPAYMENTENTITYSAVED", data, call.user_id, system=False))


def _owner(call: Call) -> tuple[int, int]:
    type_id, owner_id = (parse_int(call.require(name)) or 0 for name in ("entityTypeId", "entityId"))
    if find_object(call.site, type_id, owner_id) is None:
        raise RestError(400, "0", "Entity has not been found")
    return type_id, owner_id


@TABLE.add("crm.item.payment.add", scope="crm", any_case=False)
def payment_add(call: Call) -> int:
    type_id, owner_id = _owner(call)
    order_id = call.site.number_of("order", type_id, owner_id)
    count = 1 + sum(p.order_id == order_id for p in call.site.payments.values())
    number = call.site.portal.new_id("payment")
    made = Payment(number, type_id, owner_id, order_id, f"{order_id}/{count}", secrets.token_hex(16))
    call.site.payments[number] = made
    _tell(call, made)
    return number


@TABLE.add("crm.item.payment.get", scope="crm", any_case=False)
def payment_get(call: Call) -> dict[str, Any]:
    return _shown(call, _payment(call))


@TABLE.add("crm.item.payment.list", scope="crm", any_case=False)
def payment_list(call: Call) -> list[dict[str, Any]]:
    owner = _owner(call)
    return [_shown(call, p) for p in call.site.payments.values() if (p.type_id, p.owner_id) == owner]


@TABLE.add("crm.item.payment.update", scope="crm", any_case=False)
def payment_update(call: Call) -> bool:
    payment, wanted = _payment(call), call.require_map("fields")
    if "paySystemId" in wanted:
        payment.system_id = parse_int(wanted["paySystemId"]) or 0
    if "paid" in wanted:
        _set_paid(call, payment, is_paid=is_yes(wanted["paid"]))
    _tell(call, payment)
    return True


def _set_paid(call: Call, payment: Payment, *, is_paid: bool) -> None:
    payment.paid_at = call.site.now() if is_paid else None
    payment.paid_by = call.user_id if is_paid else None


@TABLE.add("crm.item.payment.pay", scope="crm", any_case=False)
def payment_pay(call: Call) -> bool:
    payment = _payment(call)
    _set_paid(call, payment, is_paid=True)
    _tell(call, payment)
    return True


@TABLE.add("crm.item.payment.unpay", scope="crm", any_case=False)
def payment_unpay(call: Call) -> bool:
    payment = _payment(call)
    _set_paid(call, payment, is_paid=False)
    _tell(call, payment)
    return True


@TABLE.add("crm.item.payment.delete", scope="crm", any_case=False)
def payment_delete(call: Call) -> bool:
    payment = _payment(call)
    if payment.paid_at:
        raise RestError(400, "0", "A paid payment cannot be deleted")
    del call.site.payments[payment.id]
    return True


@TABLE.add("crm.item.payment.product.add", scope="crm", any_case=False)
def product_add(call: Call) -> int:
    payment, row_id = _payment(call, "paymentId"), parse_int(call.require("rowId")) or 0
    quantity = parse_decimal(call.require("quantity")) or Decimal(0)
    row = _rows(call, payment).get(row_id)
    used = sum((q for other, q in payment.parts.values() if other == row_id), Decimal(0))
    if row is None or quantity <= 0 or used + quantity > row.quantity:
        raise RestError(400, "0", "Product row is not available for payment")
    number = call.site.portal.new_id("payment_part")
    payment.parts[number] = (row_id, quantity)
    return number


@TABLE.add("crm.item.payment.product.list", scope="crm", any_case=False)
def product_list(call: Call) -> list[dict[str, Any]]:
    payment = _payment(call, "paymentId")
    return [
        {"id": number, "paymentId": payment.id, "rowId": row_id, "quantity": quantity}
        for number, (row_id, quantity) in payment.parts.items()
    ]


@TABLE.add("crm.item.productrow.getavailableforpayment", scope="crm", any_case=False)
def available(call: Call) -> dict[str, Any]:
    """Rows that no payment has taken up yet."""
    owner_id = parse_int(call.require("ownerId")) or 0
    if str(call.require("ownerType")) != "D":
        raise RestError(400, "0", "Entity type is not supported")
    owner = find_object(call.site, 2, owner_id)
    if owner is None:
        raise RestError(400, "0", "Entity has not been found")
    taken: dict[int, Decimal] = {}
    for payment in call.site.payments.values():
        if (payment.type_id, payment.owner_id) == (2, owner_id):
            for row_id, quantity in payment.parts.values():
                taken[row_id] = taken.get(row_id, Decimal(0)) + quantity
    rows = [
        {"id": row.id, "ownerId": owner_id, "ownerType": "D", "productName": row.name, "price": row.price}
        | {"quantity": row.quantity - taken.get(row.id, Decimal(0))}
        for row in owner.rows
        if row.quantity > taken.get(row.id, Decimal(0))
    ]
    return {"productRows": rows}


@TABLE.add("salescenter.payment.getpublicurl", scope="salescenter", any_case=False)
def public_url(call: Call) -> dict[str, Any]:
    payment = _payment(call)
    base = call.site.base_url
    query = f"orderId={payment.order_id}&access={payment.access}&paymentId={payment.id}"
    return {
        "payment": {
            "url": f"{base}/pub/site/10/oformleniezakaza/?{query}",
            "shortUrl": f"{base}/~{payment.access[:5]}",
            "qr": _PIXEL,
        }
    }
