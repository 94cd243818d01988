"""A link where the client pays by the portal's own means: a payment of the deal and its public page.

A payment is made of the deal's product rows, so its sum is theirs: another sum has no link. Must not know
what is paid for. Source: Bitrix24 REST docs, pages «crm.item.payment.*»,
«crm.item.productrow.getAvailableForPayment», «salescenter.payment.getPublicUrl».
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from connector.crm.bitrix24.api import B24Api, Params
from connector.crm.bitrix24.wire import DEAL
from connector.crm.wild import Wild
from connector.errors import CrmError


@dataclass(frozen=True, slots=True)
class _Payment:
    id: str
    sum: Decimal
    is_paid: bool


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    price: Decimal
    quantity: Decimal


def payment_link(api: B24Api, deal_id: str, amount: Decimal) -> str | None:
    """The address of an unpaid payment of `amount`; None where the portal sells nothing over the web, and
    when the goods not yet paid for do not come to that sum.

    Asking twice gives the same payment: one that is open is used again, one that was begun is filled.
    """
    try:
        payment_id = _open_payment(api, deal_id, amount)
        if payment_id is None:
            return None
        return api.call(
            "salescenter.payment.getPublicUrl",
            {"id": int(payment_id)},
            lambda result: result["payment"].text_at("shortUrl", "url") or None,
        )
    except CrmError as error:
        # No right `salescenter`, no such method, no online shop on this plan.
        if error.kind == "config":
            return None
        raise


def _open_payment(api: B24Api, deal_id: str, amount: Decimal) -> str | None:
    owner: Params = {"entityId": int(deal_id), "entityTypeId": DEAL}
    payments = api.call("crm.item.payment.list", owner, lambda rows: [_payment(row) for row in rows.each()])
    unpaid = [one for one in payments if not one.is_paid]
    ready = next((one for one in unpaid if one.sum == amount), None)
    if ready is not None:
        return ready.id
    rows = api.call(
        "crm.item.productrow.getAvailableForPayment",
        {"ownerType": "D", "ownerId": int(deal_id)},
        lambda result: [_row(row) for row in result["productRows"].each()],
    )
    left = sum((row.price * row.quantity for row in rows), Decimal(0))
    # A payment that was begun and not filled: an attempt of before broke off.
    begun = next((one for one in unpaid if one.sum + left == amount), None)
    if not rows or (begun is None and left != amount):
        return None
    payment_id = begun.id if begun else api.write("crm.item.payment.add", owner, Wild.id)
    for row in rows:
        api.write(
            "crm.item.payment.product.add",
            {"paymentId": int(payment_id), "rowId": int(row.id), "quantity": str(row.quantity)},
            lambda answer: answer,
        )
    return payment_id


def _payment(row: Wild) -> _Payment:
    total, paid = row.get("sum"), row.get("paid")
    return _Payment(
        row["id"].id(),
        total.decimal() if total is not None else Decimal(0),
        paid is not None and paid.flag(),
    )


def _row(row: Wild) -> _Row:
    quantity = row.get("quantity")
    return _Row(
        row["id"].id(), row["price"].decimal(), quantity.decimal() if quantity is not None else Decimal(1)
    )
