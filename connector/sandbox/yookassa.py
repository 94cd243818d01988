"""A shop at YooKassa to talk to: its API v3, its page for the client, its notices. From its reference alone.

Payments with idempotence keys and receipts, refunds, the shop's settings; a page with «Оплатить» and
«Отказаться»; notices that are unsigned, come again for 24 hours until they are answered 200, and may come
double, late or not at all. Source: «Справочник API ЮKassa» v3 (Платежи, Возвраты), «Входящие уведомления»,
«Формат взаимодействия», «Отправка чеков».

Not said there, so chosen here: the pauses between notices (`PAUSES`), and that an unpaid payment is cancelled
after an hour (`UNPAID_FOR`; the reference tells of `expired_on_confirmation` without a term).
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from uuid import uuid4

import requests
from flask import Blueprint, Response, abort, jsonify, make_response, redirect, render_template, request

from connector.sandbox.faults import Faults
from connector.sandbox.moving_clock import MovingClock

ROOT = "/yookassa/v3"
#: What the shop's cabinet has a page for: where notices go.
NOTIFY = "/sandbox/api/yookassa/notify"
_JSON = {"Content-Type": "application/json"}
UNPAID_FOR = timedelta(hours=1)
KEYS_KEPT = timedelta(hours=24)
#: Wait before try 2, 3, …; the last one again and again until 24 hours are over.
PAUSES = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
NOTIFY_FOR = timedelta(hours=24)
ANSWER_WITHIN_S = 10.0
MAX_DESCRIPTION = 128
#: Of a receipt; «Чеки от ЮKassa»: at most 80 positions.
MAX_RECEIPT_ITEMS = 80
PAYMENT_MODES = (
    *("full_prepayment", "partial_prepayment", "advance", "full_payment"),
    *("partial_payment", "credit", "credit_payment"),
)
PAYMENT_SUBJECTS = ("commodity", "excise", "job", "service", "payment", "composite", "another")
CURRENCIES = ("RUB", "USD", "EUR", "KZT", "BYN", "CNY", "UZS")

Answer = Response | tuple[Response, int]


@dataclass(slots=True)
class _Paid:
    """One payment as the shop keeps it."""

    id: str
    amount: Decimal
    currency: str
    description: str
    metadata: dict[str, str]
    return_url: str
    created_at: datetime
    status: str = "pending"
    captured_at: datetime | None = None
    refunded: Decimal = Decimal(0)
    cancelled_because: str = ""
    receipt: dict[str, Any] | None = None


@dataclass(slots=True)
class Knobs:
    """What goes wrong with notices. lose: how many of the next never leave; copies: of each notice."""

    lose: int = 0
    copies: int = 1
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Delivered:
    """One try to deliver a notice; status 0: no answer."""

    event: str
    object_id: str
    attempt: int
    status: int


@dataclass(order=True, slots=True)
class _Waiting:
    due: datetime
    number: int
    url: str = field(compare=False)
    event: str = field(compare=False)
    body: dict[str, Any] = field(compare=False)
    born: datetime = field(compare=False)
    attempt: int = field(compare=False, default=1)


class YooKassaShop:
    """One shop. Without `start` notices wait; `run_due` sends those that are due in the caller's thread."""

    def __init__(self, base_url: str, clock: MovingClock, faults: Faults | None = None) -> None:
        self._base_url = base_url
        self._clock = clock
        self._faults = faults or Faults(clock=clock)
        self.shop_id = str(100_000 + secrets.randbelow(900_000))
        self.secret_key = f"test_{secrets.token_urlsafe(32)}"
        #: Where notices go. A real shop's cabinet has one address; partners subscribe more over the API.
        self.notify_urls: list[str] = []
        self.knobs = Knobs()
        self.delivered: list[Delivered] = []
        self._lock = threading.RLock()
        self._payments: dict[str, _Paid] = {}
        self._refunds: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, tuple[datetime, str, dict[str, Any]]] = {}
        self._wake = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._in_flight = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        clock.on_move(self._look_again)

    @property
    def api_url(self) -> str:
        """What a client of the API takes instead of https://api.yookassa.ru/v3."""
        return self._base_url + ROOT

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="yookassa-notices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=ANSWER_WITHIN_S + 1)

    # What people and testers do -----------------------------------------------------------------------------

    def pay(self, payment_id: str, amount: Decimal | None = None, currency: str = "") -> None:
        """The client pays. amount, currency: the bank passes on something else than was asked for."""
        with self._lock:
            payment = self._payments[payment_id]
            self._expire(payment)
            if payment.status != "pending":
                raise ValueError(f"the payment is {payment.status}")
            payment.amount = payment.amount if amount is None else amount
            payment.currency = currency or payment.currency
            payment.status, payment.captured_at = "succeeded", self._clock.now()
            self._tell("payment.succeeded", self._shown(payment))

    def decline(self, payment_id: str) -> None:
        """The client gives up, or the bank refuses."""
        with self._lock:
            payment = self._payments[payment_id]
            if payment.status == "pending":
                self._cancel(payment, "general_decline")

    def refund(self, payment_id: str, amount: Decimal) -> dict[str, Any]:
        """Give money back, as from the shop's cabinet."""
        with self._lock:
            payment = self._payments[payment_id]
            if payment.status != "succeeded" or amount > payment.amount - payment.refunded:
                raise ValueError("there is not so much to give back")
            payment.refunded += amount
            refund = {
                "id": str(uuid4()),
                "payment_id": payment_id,
                "status": "succeeded",
                "amount": _amount(amount, payment.currency),
                "created_at": _iso(self._clock.now()),
            }
            self._refunds[refund["id"]] = refund  # type: ignore[index]
            self._tell("refund.succeeded", refund)
            return refund

    def tell_again(self, payment_id: str) -> None:
        """The notice of a payment once more, whatever became of the first."""
        with self._lock:
            payment = self._payments[payment_id]
            self._tell(f"payment.{payment.status}", self._shown(payment))

    def payments(self) -> list[dict[str, Any]]:
        """All payments as the API shows them, oldest first."""
        with self._lock:
            return [self._shown(payment) for payment in self._payments.values()]

    def receipt(self, payment_id: str) -> dict[str, Any] | None:
        """The data of the receipt that came with a payment, as they came."""
        with self._lock:
            return self._payments[payment_id].receipt

    def pending(self) -> int:
        """Notices that wait or are under way."""
        with self._wake:
            return len(self._waiting) + self._in_flight

    # The API ------------------------------------------------------------------------------------------------

    def blueprint(self) -> Blueprint:
        """API and page; to be mounted at the root."""
        bp = Blueprint("sandbox_yookassa", __name__, template_folder="pages")
        for method, path, handler in (
            ("GET", "me", self._me),
            ("POST", "payments", self._create),
            ("GET", "payments", self._list),
            ("GET", "payments/<payment_id>", self._get),
            ("POST", "payments/<payment_id>/cancel", self._cancel_call),
            ("POST", "refunds", self._create_refund),
            ("GET", "refunds/<refund_id>", self._get_refund),
        ):
            name = handler.__name__.strip("_")
            bp.add_url_rule(f"{ROOT}/{path}", name, partial(self._api, handler), methods=[method])
        bp.add_url_rule(NOTIFY, "notify", self._subscriptions, methods=["GET", "POST", "DELETE"])
        bp.get("/yookassa/checkout/<payment_id>")(self._page)
        bp.post("/yookassa/checkout/<payment_id>")(self._press)

        return bp

    def _api(self, handler: Callable[..., Answer], **path: str) -> Response:
        """The handler's answer to those who may ask, or what a fault makes of it."""

        def answer() -> Response:
            return make_response(self._refuse_strangers() or handler(**path))

        return self._faults.around("yookassa", self.shop_id, request.method, request.path, answer)

    def _subscriptions(self) -> Answer:
        """Where notices go, as the cabinet has it: `{"url": …}` adds an address or, by DELETE, drops it."""
        if request.method == "GET":
            return jsonify(urls=self.notify_urls)
        body = request.get_json(silent=True, force=True)
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            return jsonify(error="url: нужен адрес, на который приходить уведомлениям"), 400
        if request.method == "POST" and url not in self.notify_urls:
            self.notify_urls.append(url)
        if request.method == "DELETE":
            self.notify_urls[:] = [kept for kept in self.notify_urls if kept != url]
        return jsonify(urls=self.notify_urls)

    def _refuse_strangers(self) -> Answer | None:
        given = request.headers.get("Authorization", "")
        own = base64.b64encode(f"{self.shop_id}:{self.secret_key}".encode()).decode()
        if hmac.compare_digest(given.encode("utf-8", "replace"), f"Basic {own}".encode()):
            return None
        return _error(401, "invalid_credentials", "Error in shopId or secret key. Check their validity.")

    def _me(self) -> Answer:
        return jsonify(account_id=self.shop_id, test=True, fiscalization_enabled=False, status="enabled")

    def _list(self) -> Answer:
        return jsonify(type="list", items=self.payments()[::-1])

    def _create(self) -> Answer:
        return self._once(self._make_payment)

    def _make_payment(self, body: dict[str, Any]) -> dict[str, Any] | Answer:
        amount, currency = _read_amount(body.get("amount"))
        if amount is None:
            return _invalid("amount")
        confirmation = body.get("confirmation")
        if not isinstance(confirmation, dict) or confirmation.get("type") != "redirect":
            return _invalid("confirmation.type")
        if not str(confirmation.get("return_url", "")).startswith(("http://", "https://")):
            return _invalid("confirmation.return_url")
        description, metadata = body.get("description", ""), body.get("metadata") or {}
        if not isinstance(description, str) or len(description) > MAX_DESCRIPTION:
            return _invalid("description")
        if not isinstance(metadata, dict) or len(metadata) > 16:
            return _invalid("metadata")
        if (wrong := _wrong_receipt(body.get("receipt"), amount, currency)) is not None:
            return _invalid(wrong)
        payment = _Paid(
            # A payment's id begins with its time, as in the examples of the reference.
            id=f"{secrets.token_hex(4)}-000f-5000-8000-{secrets.token_hex(6)}",
            amount=amount,
            currency=currency,
            description=description,
            metadata={str(key): str(value)[:512] for key, value in metadata.items()},
            return_url=str(confirmation["return_url"]),
            created_at=self._clock.now(),
            receipt=body.get("receipt"),
        )
        self._payments[payment.id] = payment
        return self._shown(payment)

    def _get(self, payment_id: str) -> Answer:
        with self._lock:
            payment = self._payments.get(payment_id)
            if payment is None:
                return _error(404, "not_found", "Payment doesn't exist", parameter="payment_id")
            self._expire(payment)
            return jsonify(self._shown(payment))

    def _cancel_call(self, payment_id: str) -> Answer:
        with self._lock:
            payment = self._payments.get(payment_id)
            if payment is None:
                return _error(404, "not_found", "Payment doesn't exist", parameter="payment_id")
            if payment.status != "pending":
                return _error(400, "invalid_request", "Payment can't be canceled in this status")
            self._cancel(payment, "canceled_by_merchant")
            return jsonify(self._shown(payment))

    def _create_refund(self) -> Answer:
        return self._once(self._make_refund)

    def _make_refund(self, body: dict[str, Any]) -> dict[str, Any] | Answer:
        amount, _ = _read_amount(body.get("amount"))
        if amount is None or body.get("payment_id") not in self._payments:
            return _invalid("payment_id" if amount else "amount")
        try:
            return self.refund(body["payment_id"], amount)
        except ValueError as error:
            return _error(400, "invalid_request", str(error))

    def _get_refund(self, refund_id: str) -> Answer:
        found = self._refunds.get(refund_id)
        return jsonify(found) if found else _error(404, "not_found", "Refund doesn't exist")

    def _once(self, make: Any) -> Answer:
        """Run a POST once a key: for 24 hours an equal key gives the first answer, other data are refused."""
        key = request.headers.get("Idempotence-Key", "")
        if not 1 <= len(key) <= 64:
            return _error(400, "invalid_request", "Idempotence key is missing", parameter="Idempotence-Key")
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            return _error(400, "invalid_request", "Request body is not JSON")
        digest = hashlib.sha256(request.path.encode() + json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._lock:
            known = self._keys.get(key)
            if known and known[0] > self._clock.now() - KEYS_KEPT:
                if known[1] != digest:
                    return _error(
                        400, "invalid_request", "Idempotence key duplicated", parameter="Idempotence-Key"
                    )
                return jsonify(known[2])
            answer = make(body)
            if isinstance(answer, dict):
                self._keys[key] = (self._clock.now(), digest, answer)
                return jsonify(answer)
            return answer  # type: ignore[no-any-return]

    # The client's page --------------------------------------------------------------------------------------

    def _page(self, payment_id: str) -> str:
        with self._lock:
            payment = self._payments.get(payment_id) or abort(404)
            self._expire(payment)
            return render_template("checkout.html", payment=payment)

    def _press(self, payment_id: str) -> Response:
        with self._lock:
            payment = self._payments.get(payment_id) or abort(404)
            self._expire(payment)
            if payment.status == "pending":
                if request.form.get("do") == "pay":
                    self.pay(payment_id)
                else:
                    self.decline(payment_id)
        return redirect(payment.return_url, 303)  # type: ignore[return-value]

    # Inside -------------------------------------------------------------------------------------------------

    def _shown(self, payment: _Paid) -> dict[str, Any]:
        """The object «Платёж»."""
        shown: dict[str, Any] = {
            "id": payment.id,
            "status": payment.status,
            "amount": _amount(payment.amount, payment.currency),
            "description": payment.description,
            "recipient": {"account_id": self.shop_id, "gateway_id": "1"},
            "created_at": _iso(payment.created_at),
            "test": True,
            "paid": payment.status == "succeeded",
            "refundable": payment.status == "succeeded",
            "metadata": payment.metadata,
        }
        if payment.status == "pending":
            shown["confirmation"] = {
                "type": "redirect",
                "return_url": payment.return_url,
                "confirmation_url": f"{self._base_url}/yookassa/checkout/{payment.id}",
            }
        if payment.receipt is not None:
            shown["receipt_registration"] = payment.status
        if payment.status == "succeeded":
            shown["captured_at"] = _iso(payment.captured_at or payment.created_at)
            shown["refunded_amount"] = _amount(payment.refunded, payment.currency)
        if payment.status == "canceled":
            shown["cancellation_details"] = {"party": "yoo_money", "reason": payment.cancelled_because}
        return shown

    def _expire(self, payment: _Paid) -> None:
        if payment.status == "pending" and payment.created_at + UNPAID_FOR <= self._clock.now():
            self._cancel(payment, "expired_on_confirmation")

    def _cancel(self, payment: _Paid, reason: str) -> None:
        payment.status, payment.cancelled_because = "canceled", reason
        self._tell("payment.canceled", self._shown(payment))

    def _tell(self, event: str, shown: dict[str, Any]) -> None:
        if self.knobs.lose > 0:
            self.knobs.lose -= 1
            return
        now = self._clock.now()
        body = {"type": "notification", "event": event, "object": shown}
        with self._wake:
            for url in self.notify_urls * self.knobs.copies:
                for wait_s in self._faults.deliveries("yookassa", self.shop_id, event):
                    self._number += 1
                    due = now + self.knobs.delay + timedelta(seconds=wait_s)
                    heapq.heappush(self._waiting, _Waiting(due, self._number, url, event, body, now))
            self._wake.notify_all()

    def _look_again(self) -> None:
        with self._wake:
            self._wake.notify_all()

    def run_due(self) -> int:
        """Send every notice that is due by the sandbox's clock; how many tries were made."""
        count = 0
        while (item := self._take()) is not None:
            self._send(item)
            count += 1
        return count

    def _take(self) -> _Waiting | None:
        with self._wake:
            if not self._waiting or self._waiting[0].due > self._clock.now():
                return None
            self._in_flight += 1
            return heapq.heappop(self._waiting)

    def _run(self) -> None:
        while not self._stopping:
            item = self._take()
            if item is not None:
                self._send(item)
                continue
            with self._wake:
                wait = (self._waiting[0].due - self._clock.now()).total_seconds() if self._waiting else None
                if not self._stopping and (wait is None or wait > 0):
                    self._wake.wait(wait)

    def _send(self, item: _Waiting) -> None:
        try:
            raw = json.dumps(item.body, ensure_ascii=False).encode()
            status = self._post(item.url, raw)
            self._faults.sent.add("yookassa", item.event, item.url, raw, _JSON, status)
            self.delivered.append(Delivered(item.event, item.body["object"]["id"], item.attempt, status))
            if status == 200:
                return
            due = self._clock.now() + PAUSES[min(item.attempt, len(PAUSES)) - 1]
            if due <= item.born + NOTIFY_FOR:
                with self._wake:
                    heapq.heappush(self._waiting, replace(item, due=due, attempt=item.attempt + 1))
        finally:
            with self._wake:
                self._in_flight -= 1

    def _post(self, url: str, body: bytes) -> int:
        try:
            with self._session.post(
                url, data=body, headers=_JSON, timeout=ANSWER_WITHIN_S, allow_redirects=False
            ) as answer:
                return answer.status_code
        except requests.RequestException:
            return 0


def _read_amount(given: Any) -> tuple[Decimal | None, str]:
    """Amount and currency of a request; None for what the reference does not allow."""
    if not isinstance(given, dict) or given.get("currency") not in CURRENCIES:
        return None, ""
    try:
        value = Decimal(str(given.get("value")))
    except InvalidOperation:
        return None, ""
    if not value.is_finite() or value <= 0 or value != value.quantize(Decimal("0.01")):
        return None, ""
    return value, str(given["currency"])


def _wrong_receipt(receipt: Any, amount: Decimal, currency: str) -> str | None:
    """The first parameter of a receipt that the reference does not allow; None for a good or no receipt."""
    if receipt is None:
        return None
    customer = receipt.get("customer") if isinstance(receipt, dict) else None
    if not isinstance(customer, dict) or not (customer.get("email") or customer.get("phone")):
        return "receipt.customer"
    if not re.fullmatch(r"[1-6]?", str(receipt.get("tax_system_code") or "")):
        return "receipt.tax_system_code"
    items, total = receipt.get("items"), Decimal(0)
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_RECEIPT_ITEMS:
        return "receipt.items"
    for item in items:
        price, of = _read_amount(item.get("amount"))
        if price is None or of != currency:
            return "receipt.items.amount"
        if not 1 <= len(str(item.get("description", ""))) <= MAX_DESCRIPTION:
            return "receipt.items.description"
        if item.get("vat_code") not in range(1, 13):
            return "receipt.items.vat_code"
        if item.get("payment_mode") not in PAYMENT_MODES:
            return "receipt.items.payment_mode"
        if item.get("payment_subject") not in PAYMENT_SUBJECTS:
            return "receipt.items.payment_subject"
        quantity = Decimal(str(item.get("quantity", 0)))
        if quantity <= 0 or quantity != quantity.quantize(Decimal("0.001")):
            return "receipt.items.quantity"
        total += price * quantity
    return None if total == amount else "receipt.items"


def _amount(value: Decimal, currency: str) -> dict[str, str]:
    return {"value": f"{value:.2f}", "currency": currency}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _invalid(parameter: str) -> Answer:
    return _error(400, "invalid_request", f"Invalid {parameter}", parameter=parameter)


def _error(status: int, code: str, description: str, **more: str) -> Answer:
    body = {"type": "error", "id": str(uuid4()), "code": code, "description": description, **more}
    return jsonify(body), status
