"""YooKassa over its official SDK, several shops in one process.

The SDK keeps shop and key in one class attribute for the whole process, sets no time-outs and fails with an
AttributeError where the network does. So each shop has a client object of its own here, and the SDK's own
`Payment` works over it: requests and answers are built and checked by the SDK, the rest is ours.

Source: «Справочник API ЮKassa», API v3, sections Платежи and Входящие уведомления.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from types import SimpleNamespace
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from yookassa import Payment, Settings
from yookassa.client import ApiClient
from yookassa.domain.common import RequestObject, UserAgent

from connector.config import PaymentConfig
from connector.errors import BadWebhook, PaymentError
from connector.payments.base import Notice, Order, PaymentStatus, ProviderPayment, Receipt, Reference

log = logging.getLogger(__name__)

NAME = "yookassa"
TITLE = "ЮKassa"

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
#: Repeats inside one call; every POST carries an idempotence key, so all of them may be repeated.
REPEATS = 2
BACKOFF_S = 0.3
#: 202: still being processed, ask again with the same key (API, «Асинхронность»).
PASSING = (202, 429, 500, 502, 503, 504)

#: Longest description of a payment (API, «Создание платежа»).
MAX_DESCRIPTION = 128

#: Longest name of a position and of a payer (API, «Создание платежа», receipt).
MAX_POSITION = 128
MAX_PAYER = 256
#: Codes of VAT rates, and of those reckoned out of money paid in advance (22/122: НК РФ, статья 164, п. 4);
#: None is «без НДС». Source: «Отправка чеков», «Коды ставок НДС», edition of 2026.
VAT_CODES: dict[Decimal | None, int] = {
    None: 1,
    **{Decimal(rate): code for rate, code in ((0, 2), (10, 3), (20, 4), (5, 7), (7, 8), (22, 11))},
}
VAT_CODES_IN_ADVANCE: dict[Decimal | None, int] = {
    None: 1,
    **{Decimal(rate): code for rate, code in ((0, 2), (10, 5), (20, 6), (5, 9), (7, 10), (22, 12))},
}
IN_ADVANCE, IN_FULL = "full_prepayment", "full_payment"

#: Where a payment waits for capture the money is not ours yet; we ask for capture at once.
_STATUSES: dict[str, PaymentStatus] = {
    "pending": "pending",
    "waiting_for_capture": "pending",
    "succeeded": "succeeded",
    "canceled": "canceled",
}


class YooKassa:
    """One shop."""

    name = NAME
    title = TITLE
    is_asked = True

    def __init__(self, config: PaymentConfig) -> None:
        self._config = config
        client = _ShopClient(config)
        self._payments: type[Payment] = _bound(Payment, client)
        self._settings: type[Settings] = _bound(Settings, client)

    @property
    def wants_receipts(self) -> bool:
        return bool(self._config.receipts)

    def create(self, order: Order) -> ProviderPayment:
        reference = order.reference
        receipt = {"receipt": self._receipt(order.receipt, order.currency)} if order.receipt else {}
        answer = self._payments.create(
            {
                **receipt,
                "amount": {"value": f"{order.amount:.2f}", "currency": order.currency},
                "capture": True,
                "confirmation": {"type": "redirect", "return_url": order.return_url},
                "description": order.purpose[:MAX_DESCRIPTION],
                # Values are texts of up to 512 characters (API, metadata).
                "metadata": {
                    "connector_account": reference.account,
                    "connector_document": str(reference.document_id),
                    "connector_key": reference.key,
                    "deal": order.deal_id,
                },
            },
            reference.key,
        )
        return _payment(answer)

    def _receipt(self, receipt: Receipt, currency: str) -> dict[str, Any]:
        in_advance = self._config.receipts == "prepayment"
        codes = VAT_CODES_IN_ADVANCE if in_advance else VAT_CODES
        customer = {
            "email": receipt.email,
            "phone": receipt.phone,
            "full_name": receipt.payer[:MAX_PAYER],
            "inn": receipt.inn,
        }
        try:
            items = [
                {
                    "description": item.name[:MAX_POSITION],
                    "quantity": f"{item.quantity:f}",
                    "amount": {"value": f"{item.price:.2f}", "currency": currency},
                    "vat_code": codes[item.vat_rate],
                    "payment_mode": IN_ADVANCE if in_advance else IN_FULL,
                    "payment_subject": "service" if item.is_service else "commodity",
                }
                for item in receipt.items
            ]
        except KeyError as error:
            raise PaymentError("rejected", TITLE, f"нет кода чека для ставки НДС {error}") from None
        system = self._config.tax_system
        return {
            "customer": {key: value for key, value in customer.items() if value},
            "items": items,
            **({"tax_system_code": system} if system else {}),
        }

    def get(self, payment_id: str) -> ProviderPayment | None:
        try:
            return _payment(self._payments.find_one(payment_id))
        except _NotFound:
            return None

    def read_notice(self, body: bytes) -> Notice:
        """A notice is unsigned: only which payment it means is taken from it."""
        try:
            told = json.loads(body)
        except ValueError:
            raise BadWebhook("body", "not JSON") from None
        if not isinstance(told, dict) or told.get("type") != "notification":
            raise BadWebhook("body['type']", "not a notification")
        event, subject = told.get("event"), told.get("object")
        if not isinstance(event, str) or not isinstance(subject, dict):
            raise BadWebhook("body['event'], body['object']", "missing")
        object_id = subject.get("id")
        payment_id = subject.get("payment_id") if event.startswith("refund.") else object_id
        for path, value in (("id", object_id), ("payment_id", payment_id)):
            if not isinstance(value, str) or not 1 <= len(value) <= 64:
                raise BadWebhook(f"body['object']['{path}']", "missing")
        return Notice(event[:64], str(object_id), str(payment_id))

    def check(self) -> str:
        shop = self._settings.get_account_settings()
        kind = "тестовый магазин" if shop.test else "магазин"
        return f"{kind} {shop.account_id}"


class _NotFound(Exception):
    """The provider knows nothing of that id."""


class _ShopClient(ApiClient):  # type: ignore[misc]
    """The SDK's client with settings of its own instead of the process-wide ones."""

    def __init__(self, config: PaymentConfig) -> None:
        # Not super().__init__(): that reads the process-wide settings.
        self.configuration = SimpleNamespace(verify=None)
        self.endpoint = config.url
        self.shop_id = config.shop_id
        self.shop_password = config.secret_key
        self.auth_token = None
        self.user_agent = UserAgent()

    def get_session(self) -> requests.Session:
        session = requests.Session()
        # A proxy or a .netrc of the machine's user is no business of ours.
        session.trust_env = False
        retry = Retry(
            total=REPEATS,
            backoff_factor=BACKOFF_S,
            allowed_methods=None,
            status_forcelist=PASSING,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        adapter = _TimedAdapter(max_retries=retry)
        for scheme in ("https://", "http://"):
            session.mount(scheme, adapter)
        return session

    def request(
        self,
        method: str = "",
        path: str = "",
        query_params: Any = None,
        headers: Any = None,
        body: Any = None,
    ) -> Any:
        if isinstance(body, RequestObject):
            try:
                body.validate()
            except ValueError as error:
                raise PaymentError("rejected", TITLE, str(error)) from None
            body = dict(body)
        try:
            answer = self.execute(body, method, path, query_params, self.prepare_request_headers(headers))
        except requests.HTTPError as error:
            raise _refusal(error.response) from None
        except requests.RequestException as error:
            # Its text holds the address alone, but the kind says as much.
            raise PaymentError("retry", TITLE, f"нет ответа ({type(error).__name__})") from None
        if answer.status_code != 200:
            raise _refusal(answer)
        try:
            return answer.json()
        except ValueError:
            raise PaymentError("retry", TITLE, "ответ не похож на JSON") from None

    # The SDK's own would write the key to its logger.
    def log_request(self, *_: Any) -> None:
        return

    def log_response(self, *_: Any) -> None:
        return


class _TimedAdapter(HTTPAdapter):
    """Never waits for ever."""

    def send(self, request: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        kwargs["timeout"] = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        return super().send(request, **kwargs)


def _bound(kind: Any, client: _ShopClient) -> Any:
    """The SDK's class whose methods work with this client: they make their object themselves."""

    def begin(self: Any) -> None:
        self.client = client

    return type(kind.__name__, (kind,), {"__init__": begin})


def _refusal(response: requests.Response) -> Exception:
    status = response.status_code
    if status == 404:
        return _NotFound()
    code = detail = ""
    try:
        told = response.json()
        code, detail = str(told.get("code", "")), str(told.get("description", ""))[:300]
    except (ValueError, AttributeError):
        pass
    log.warning("YooKassa refused a call: HTTP %s, %s", status, code, extra={"action": "payment_refused"})
    if status in (401, 403):
        return PaymentError("config", TITLE, f"не принимает ключ магазина (HTTP {status}) {detail}".rstrip())
    kind = "retry" if status in PASSING else "rejected"
    return PaymentError(kind, TITLE, " ".join(filter(None, (f"HTTP {status}", code, detail))))  # type: ignore[arg-type]


def _payment(answer: Any) -> ProviderPayment:
    """The SDK's answer as ours. Raises PaymentError when it says nothing that we understand."""
    try:
        paid_at = _moment(answer.captured_at) if answer.captured_at else None
        refunded = answer.refunded_amount
        return ProviderPayment(
            id=str(answer.id),
            status=_STATUSES[answer.status],
            amount=Decimal(str(answer.amount.value)),
            currency=str(answer.amount.currency),
            refunded=Decimal(str(refunded.value)) if refunded is not None else Decimal(0),
            paid_at=paid_at,
            link=str(getattr(answer.confirmation, "confirmation_url", "") or ""),
            reference=_reference(answer.metadata or {}),
        )
    except (KeyError, AttributeError, ValueError, InvalidOperation) as error:
        detail = f"непонятный ответ о платеже ({type(error).__name__})"
        raise PaymentError("rejected", TITLE, detail) from None


def _reference(metadata: Any) -> Reference | None:
    try:
        return Reference(
            str(metadata["connector_account"]),
            int(metadata["connector_document"]),
            str(metadata["connector_key"]),
        )
    except (KeyError, ValueError, TypeError):
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(UTC)
