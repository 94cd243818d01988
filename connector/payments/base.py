"""What the rest of the product may ask of a payment provider. One module a provider implements it.

Nothing above this package sees a provider's own JSON. Nothing here knows the store, a CRM or a rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

#: Where a payment stands: it may still come, the money is there, it will never come.
PaymentStatus = Literal["pending", "succeeded", "canceled"]


@dataclass(frozen=True, slots=True)
class Reference:
    """Whose payment it is; providers keep it with the payment and give it back when they are asked.

    key: what the payment was asked for with. It tells installations that share a shop apart.
    """

    account: str
    document_id: int
    key: str


@dataclass(frozen=True, slots=True)
class ReceiptItem:
    """A position of a fiscal receipt: `price` of one unit, VAT included; `vat_rate` None for «без НДС».

    price times quantity is whole kopecks. is_service: work done, and no thing handed over.
    """

    name: str
    quantity: Decimal
    price: Decimal
    vat_rate: Decimal | None
    is_service: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the provider needs to make the receipt of Federal Law 54-ФЗ: positions, and where it goes.

    Positions add up to the order's amount. payer, inn: the client's, "" where not known.
    """

    items: tuple[ReceiptItem, ...]
    email: str
    phone: str
    payer: str = ""
    inn: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be paid. `number` is the invoice's, `purpose` what the client reads at the provider."""

    reference: Reference
    deal_id: str
    amount: Decimal
    currency: str
    number: str
    purpose: str
    return_url: str
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """A payment as its provider knows it.

    id: the provider's own, "" where payments have none. refunded: how much of `amount` went back. link: the
    page where the client pays, "" when it is no longer open. paid_at: aware UTC, None before.
    """

    id: str
    status: PaymentStatus
    amount: Decimal
    currency: str
    refunded: Decimal = Decimal(0)
    paid_at: datetime | None = None
    link: str = ""
    reference: Reference | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a provider told us unasked: which payment changed. The rest of it proves nothing.

    object_id: of what changed, a payment or a refund of it.
    """

    event: str
    object_id: str
    payment_id: str


class PaymentProvider(Protocol):
    """One account's shop at one provider; may be used by several threads at once."""

    @property
    def name(self) -> str:
        """As in `PAYMENT_PROVIDER`."""

    @property
    def title(self) -> str:
        """As people read it, Russian."""

    @property
    def wants_receipts(self) -> bool:
        """Whether an order must bring the data of its receipt."""

    @property
    def is_asked(self) -> bool:
        """Whether `get` tells if money came; where not, a person says so."""

    def create(self, order: Order) -> ProviderPayment:
        """Begin a payment; equal keys of the reference give the same payment. Raises PaymentError."""

    def get(self, payment_id: str) -> ProviderPayment | None:
        """The payment as it is now, None when there is none of that id. Raises PaymentError."""

    def read_notice(self, body: bytes) -> Notice:
        """What a notice says. Raises BadWebhook for a body that is none of this provider's."""

    def check(self) -> str:
        """What the provider says of our shop, Russian, for `connector check`. Raises PaymentError."""
