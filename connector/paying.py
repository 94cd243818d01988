"""The client's way to money: the address where an invoice is paid, and the payment that begins there.

A provider's own page lives for an hour or so, a letter for weeks. So what clients get is an address of ours,
and the payment is made when the client asks for it. Who came back and what was paid is `settling.py`'s.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from connector.clock import Clock
from connector.config import AccountConfig
from connector.errors import PaymentError
from connector.payments.base import Order, PaymentProvider, ProviderPayment, Receipt, Reference
from connector.receipts import receipt_of
from connector.store import archive, payments
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from connector.store.payments import Payment

#: The first question to the provider when no notice came.
FIRST_ASK = timedelta(minutes=2)

#: due: it can be paid; paid: nothing is left to pay; void: it is no longer in force; replaced: another
#: version is in force.
InvoiceState = Literal["due", "paid", "void", "replaced"]


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as its payer sees it. `left`: what is still to be paid."""

    document: ArchivedDocument
    state: InvoiceState
    left: Decimal
    currency: str
    newer: ArchivedDocument | None = None


def is_payable(document: ArchivedDocument) -> bool:
    """Whether it is a document that asks for money: one with a purpose of payment, see `documents.yml`."""
    return bool(document.total) and isinstance(document.context.get("оплата"), Mapping)


def received(paid: Sequence[Payment], currency: str) -> Decimal:
    """What came and stayed, of this currency."""
    return sum((one.received for one in paid if one.currency == currency), Decimal(0))


class Paying:
    """Addresses and payments of the accounts that have a provider."""

    def __init__(
        self,
        db: Database,
        accounts: Mapping[str, AccountConfig],
        providers: Mapping[str, PaymentProvider],
        base_url: str,
        clock: Clock,
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._providers = providers
        self._base_url = base_url.rstrip("/")
        self._clock = clock

    def pay_url(self, document: ArchivedDocument) -> str | None:
        """Where the client pays this document: an address of ours that stays the same, unguessable.

        None when the account has no payment provider, or the document asks for no money. The page there says
        when the document is void or paid.
        """
        if document.account not in self._providers or not is_payable(document):
            return None
        token = self._accounts[document.account].pay_token(document.id)
        return f"{self._base_url}/pay/{document.account}/{document.id}/{token}"

    def invoice(self, account: str, document_id: int, token: str) -> Invoice | None:
        """What the address leads to; None when it is not one of ours."""
        config = self._accounts.get(account)
        if config is None or account not in self._providers:
            return None
        if not hmac.compare_digest(token.encode("utf-8", "replace"), config.pay_token(document_id).encode()):
            return None
        with self._db.read() as conn:
            document = archive.by_id(conn, account, document_id)
            if document is None or not is_payable(document):
                return None
            paid = payments.of_document(conn, account, document_id)
            newer = archive.in_force(conn, account, document.deal_id, document.kind)
        left = (document.total or Decimal(0)) - received(paid, document.currency)
        state: InvoiceState = "due" if left > 0 else "paid"
        if document.is_void and state == "due":
            state = "replaced" if newer else "void"
        return Invoice(document, state, max(left, Decimal(0)), document.currency, newer)

    def provider_title(self, account: str) -> str:
        return self._providers[account].title

    def begin(self, invoice: Invoice) -> str | None:
        """The provider's page for what is still to be paid; None when nothing is, by the provider's word.

        An open payment is used again. The row with its key is written before the provider is asked: whoever
        dies in between finds the same payment the next time. Raises PaymentError.
        """
        document = invoice.document
        provider = self._providers[document.account]
        with self._db.read() as conn:
            known = payments.of_document(conn, document.account, document.id)
        tried = [one for one in known if one.provider == provider.name]
        last = tried[-1] if tried else None
        if last is not None and last.status == "new" and last.amount == invoice.left:
            return self._ask_for(invoice, last)
        if last is not None and last.status == "pending" and last.amount == invoice.left:
            if not provider.is_asked:
                return last.link
            now = provider.get(last.provider_id or "")
            if now is not None and now.status == "pending" and last.link:
                return last.link
            if now is not None and now.status == "succeeded":
                return None
        return self._ask_for(invoice, self._new(invoice, provider, len(tried) + 1))

    def _new(self, invoice: Invoice, provider: PaymentProvider, number: int) -> Payment:
        document, now = invoice.document, self._clock.now()
        # Of the invoice and the number of the try, so two clicks at once make one payment. The amount belongs
        # to it: a provider refuses an equal key with another order.
        stem = f"{document.account}:{document.id}:{document.created_at.isoformat()}:{number}:{invoice.left}"
        key = hashlib.sha256(stem.encode()).hexdigest()[:40]
        with self._db.begin() as conn:
            payments.add(
                conn,
                account=document.account,
                document_id=document.id,
                deal_id=document.deal_id,
                provider=provider.name,
                key=key,
                amount=invoice.left,
                currency=invoice.currency,
                now=now,
                ask_at=now + FIRST_ASK if provider.is_asked else None,
            )
            row = payments.by_key(conn, document.account, key)
        assert row is not None
        return row

    def _ask_for(self, invoice: Invoice, row: Payment) -> str | None:
        made = self.create(invoice.document, row)
        if made.status == "succeeded":
            return None
        if not made.link:
            raise PaymentError("retry", self.provider_title(row.account), "платёж уже закрыт")
        return made.link

    def create(self, document: ArchivedDocument, row: Payment) -> ProviderPayment:
        """Ask the provider for the payment of a row, and write down which one it is. Raises PaymentError."""
        config = self._accounts[row.account]
        order = Order(
            reference=Reference(row.account, row.document_id, row.key),
            deal_id=row.deal_id,
            amount=row.amount,
            currency=row.currency,
            number=document.number,
            purpose=_purpose(document),
            return_url=config.payment.return_url or self.pay_url(document) or self._base_url,
            receipt=self._receipt(document, row.amount),
        )
        made = self._providers[row.account].create(order)
        with self._db.begin() as conn:
            now = payments.find(conn, row.account, row.id)
            if now is not None and now.status == "new":
                # Money is counted by `settling.py` alone; a payment that is over by now waits for it.
                status = "canceled" if made.status == "canceled" else "pending"
                payments.change(conn, row.id, provider_id=made.id or None, link=made.link, status=status)
        return made

    def _receipt(self, document: ArchivedDocument, amount: Decimal) -> Receipt | None:
        """What the receipt will say, where the provider is to make one.

        Raises PaymentError when the client has neither an e-mail address nor a telephone.
        """
        provider = self._providers[document.account]
        receipt = receipt_of(document, amount) if provider.wants_receipts else None
        if receipt is not None and not (receipt.email or receipt.phone):
            reason = "для чека нужен e-mail или телефон клиента: заполните контакт и выпустите счёт заново"
            raise PaymentError("config", provider.title, reason)
        return receipt


def _purpose(document: ArchivedDocument) -> str:
    payment = document.context.get("оплата")
    text = payment.get("назначение") if isinstance(payment, Mapping) else None
    return str(text or f"{document.title} № {document.number}")
