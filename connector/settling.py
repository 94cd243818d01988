"""Money that came: notices are taken in, the provider is asked back, the invoice is settled once.

A notice proves nothing: its order, number and content do not matter, only what the provider answers. An
invoice that is fully paid is one happening `paid`; whatever does not add up is one task that says so. Knows
nothing of any provider's JSON.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from connector.clock import Clock
from connector.documents.russian import money
from connector.effects import ASK_DUE
from connector.errors import ConnectorError
from connector.happenings import Happenings
from connector.paying import Paying, is_payable, received
from connector.payments.base import Notice, PaymentProvider, ProviderPayment
from connector.store import archive, outbox, payments
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue
from connector.store.payments import MANUAL, Payment

log = logging.getLogger(__name__)

#: The rule's name of effects that a payment has by itself.
BY_PAYMENT = "Оплата счёта"

#: A payment that nobody told the end of is asked for after 2, 4, 8 … minutes, at last every six hours.
LONGEST_PAUSE = timedelta(hours=6)
#: An unpaid payment of YooKassa is cancelled within hours; three days later nothing can come of it.
ASK_FOR = timedelta(days=3)


class Settling:
    """Takes notices in and settles invoices (job handlers), for the accounts that have a provider."""

    def __init__(
        self,
        db: Database,
        queue: JobQueue,
        providers: Mapping[str, PaymentProvider],
        paying: Paying,
        happenings: Happenings,
        clock: Clock,
    ) -> None:
        self._db = db
        self._queue = queue
        self._providers = providers
        self._paying = paying
        self._happenings = happenings
        self._clock = clock

    # What comes in ------------------------------------------------------------------------------------------

    def take_notice(self, account: str, notice: Notice) -> None:
        """Store a notice and its job in one transaction; nothing is asked here."""
        provider = self._providers[account].name
        with self._db.begin(urgent=True) as conn:
            payments.note_notice(
                conn,
                account=account,
                provider=provider,
                event=notice.event,
                object_id=notice.object_id,
                payment_id=notice.payment_id,
                now=self._clock.now(),
            )
            self._enqueue(conn, account, {"provider_id": notice.payment_id}, notice.payment_id)

    def ask_due(self) -> int:
        """Tick: jobs for payments whose notice did not come; how many. The pauses grow and end."""
        now = self._clock.now()
        with self._db.begin() as conn:
            due = [one for one in payments.to_ask(conn, now) if one.account in self._providers]
            for one in due:
                pause = min(timedelta(minutes=2) * 2 ** min(one.asked + 1, 16), LONGEST_PAUSE)
                next_at = now + pause if now + pause < one.created_at + ASK_FOR else None
                payments.change(conn, one.id, ask_at=next_at, asked=one.asked + 1)
                self._enqueue(conn, one.account, {"payment_id": one.id}, one.provider_id or one.key)
        return len(due)

    def handle(self, job: Job) -> None:
        """Ask the provider about one payment and act on its answer. Raises PaymentError."""
        provider = self._providers.get(job.account)
        if provider is None:
            return
        with self._db.read() as conn:
            row = self._row(conn, job, provider.name)
            document = archive.by_id(conn, job.account, row.document_id) if row else None
        if row is not None and row.provider_id is None:
            # The provider's answer never reached us: the same key gives the same payment.
            if document is None:
                return
            provider_id = self._paying.create(document, row).id
        else:
            provider_id = str((row.provider_id if row else None) or job.args.get("provider_id") or "")
        told = provider.get(provider_id)
        if told is None:
            self._conclude(job.account, provider.name, provider_id, "провайдер не знает такого платежа")
            log.warning(
                "a notice about a payment that does not exist",
                extra={"action": "payment_unknown", "account": job.account},
            )
            return
        if told.status == "pending":
            return
        self._settle(job.account, provider, told)

    def mark_paid(
        self, account: str, document_id: int, paid_at: datetime, amount: Decimal | None = None
    ) -> Decimal:
        """A person saw the money on the bank account: what of it was new to us.

        amount: what came, None = all that was left. Raises ConnectorError that says what is wrong, Russian.
        """
        with self._db.begin() as conn:
            document = archive.by_id(conn, account, document_id)
            if document is None:
                raise ConnectorError(f"документа {document_id} нет")
            if not is_payable(document):
                raise ConnectorError(f"«{document.title}» не оплачивают: в нём нет назначения платежа")
            payments.lock_invoice(conn, document_id)
            known = payments.of_document(conn, account, document_id)
            left = (document.total or Decimal(0)) - received(known, document.currency)
            if left <= 0:
                raise ConnectorError(f"{_name(document)} уже оплачен")
            came = left if amount is None else amount
            if came <= 0:
                raise ConnectorError("сумма должна быть больше нуля")
            key = _key(f"{MANUAL}:{account}:{document_id}:{len(known)}")
            row_id = payments.add(
                conn,
                account=account,
                document_id=document_id,
                deal_id=document.deal_id,
                provider=MANUAL,
                key=key,
                amount=came,
                currency=document.currency,
                now=self._clock.now(),
            )
            assert row_id is not None
            payments.change(conn, row_id, status="succeeded", paid_at=paid_at)
            row = payments.find(conn, account, row_id)
            assert row is not None
            self._act(conn, document, row, "отмечено вручную")
        return came

    # What becomes of it -------------------------------------------------------------------------------------

    def _row(self, conn: Connection, job: Job, provider: str) -> Payment | None:
        if "payment_id" in job.args:
            return payments.find(conn, job.account, job.args["payment_id"])
        return payments.by_provider_id(conn, job.account, provider, job.args["provider_id"])

    def _settle(self, account: str, provider: PaymentProvider, told: ProviderPayment) -> None:
        """Write down what the provider says of a payment that is over, and act on what is new."""
        with self._db.begin() as conn:
            row = self._adopted(conn, account, provider.name, told)
            if row is None:
                self._note(conn, account, provider.name, told.id, "платёж не по нашему счёту")
                return
            payments.lock_invoice(conn, row.document_id)
            before = payments.find(conn, account, row.id)
            document = archive.by_id(conn, account, row.document_id)
            if before is None or document is None:
                return
            payments.change(
                conn,
                row.id,
                status=told.status,
                amount=told.amount if told.status == "succeeded" else before.amount,
                currency=told.currency if told.status == "succeeded" else before.currency,
                refunded=told.refunded,
                paid_at=told.paid_at or (self._clock.now() if told.status == "succeeded" else None),
                ask_at=None,
            )
            after = payments.find(conn, account, row.id)
            assert after is not None
            if told.status == "canceled":
                self._note(conn, account, provider.name, told.id, "платёж отменён")
                return
            self._note(conn, account, provider.name, told.id, "проверено у провайдера")
            if (before.status, before.refunded) != (after.status, after.refunded):
                self._act(conn, document, after, provider.title)

    def _adopted(
        self, conn: Connection, account: str, provider: str, told: ProviderPayment
    ) -> Payment | None:
        """Our row of a payment; one that we asked for and never heard of again is known by its reference."""
        row = payments.by_provider_id(conn, account, provider, told.id)
        if row is not None or told.reference is None or told.reference.account != account:
            return row
        row = payments.by_key(conn, account, told.reference.key)
        if row is None or row.provider != provider or row.provider_id is not None:
            return None
        payments.change(conn, row.id, provider_id=told.id)
        return row

    def _act(self, conn: Connection, document: ArchivedDocument, row: Payment, how: str) -> None:
        """What follows from new money, or from money that went back; each thing once, by its key."""
        name, due = _name(document), document.total or Decimal(0)
        came = money(row.amount, row.currency)
        known = payments.of_document(conn, document.account, document.id)
        total = received(known, document.currency)
        if row.refunded > 0:
            text = f"Возврат {money(row.refunded, row.currency)} по документу «{name}» ({how}). "
            text += (
                f"Осталось оплаченным: {money(total, document.currency)} из {money(due, document.currency)}."
            )
            self._task(conn, document, f"{row.id}:refund:{row.refunded}", text)
            return
        if row.currency != document.currency:
            text = (
                f"Пришло {came} вместо {money(due, document.currency)} по документу «{name}» ({how}): другая "
                "валюта. Счёт не отмечен оплаченным: разберитесь с платежом."
            )
            self._task(conn, document, f"{row.id}:currency", text)
            return
        if document.is_void:
            text = (
                f"Пришло {came} по аннулированному документу «{name}» ({how}). Зачтите оплату в новом счёте "
                "или верните деньги."
            )
            self._task(conn, document, f"{row.id}:void", text)
            return
        if total < due:
            sums = f"{money(total, document.currency)} вместо {money(due, document.currency)}"
            last = f" Последний платёж: {came}." if total != row.amount else ""
            text = f"Пришло {sums} по документу «{name}» ({how}).{last} Договоритесь с клиентом о доплате."
            self._task(conn, document, f"{row.id}:partial", text)
            return
        if total > due:
            over = money(total - due, document.currency)
            text = (
                f"Пришло {money(total, document.currency)} вместо {money(due, document.currency)} "
                f"по документу «{name}» ({how}). Счёт оплачен; лишние {over} верните или зачтите."
            )
            self._task(conn, document, f"{row.id}:over", text)
        self._paid(conn, document, row, how)

    def _paid(self, conn: Connection, document: ArchivedDocument, row: Payment, how: str) -> None:
        paid_at = row.paid_at or self._clock.now()
        is_news = self._happenings.record(
            conn,
            account=document.account,
            deal_id=document.deal_id,
            what="paid",
            key=f"paid:{document.id}",
            at=paid_at,
            document=document,
            data={"amount": str(document.total), "currency": document.currency, "how": how},
        )
        if is_news:
            sum_ = money(document.total or Decimal(0), document.currency)
            text = f"{_name(document)} оплачен: {sum_} ({how})."
            self._effect(conn, document, f"paid:{document.id}", "note", {"text": text})

    def _task(self, conn: Connection, document: ArchivedDocument, key: str, text: str) -> None:
        due_at = (self._clock.now() + ASK_DUE).isoformat()
        self._effect(conn, document, f"payment:{key}", "alarm", {"text": text, "due_at": due_at})

    def _effect(
        self, conn: Connection, document: ArchivedDocument, key: str, action: str, params: Mapping[str, str]
    ) -> None:
        account = document.account
        effect_id = outbox.add(
            conn,
            account=account,
            key=key,
            rule=BY_PAYMENT,
            action=action,
            params=dict(params),
            deal_id=document.deal_id,
            now=self._clock.now(),
        )
        if effect_id is not None:
            self._queue.enqueue(
                conn, "effect", {"effect_id": effect_id}, account=account, order_key=f"{account}:{key}"
            )

    def _enqueue(self, conn: Connection, account: str, args: Mapping[str, object], about: str) -> None:
        order_key = f"{account}:payment:{about}"[:160]
        self._queue.enqueue(conn, "payment", dict(args), account=account, order_key=order_key)

    def _conclude(self, account: str, provider: str, provider_id: str, note: str) -> None:
        with self._db.begin() as conn:
            self._note(conn, account, provider, provider_id, note)

    @staticmethod
    def _note(conn: Connection, account: str, provider: str, provider_id: str, note: str) -> None:
        payments.conclude_notices(conn, account, provider, provider_id, note)


def _name(document: ArchivedDocument) -> str:
    return f"{document.title} № {document.number} от {document.issued_on:%d.%m.%Y}"


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
