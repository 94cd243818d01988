"""The register of documents: what was issued, what is void, why a number is missing, what is still intact.

For the owner and the accountant. Knows nothing of how the table is shown; `register_files.py` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from connector.documents.freeze import thaw
from connector.documents.kit import Kit
from connector.documents.render import ENGINE, RenderPool
from connector.paying import received
from connector.store import archive, facts, kit_versions, numbers, outbox, payments
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.store.numbers import Gap
from connector.store.payments import Payment

#: The rule's name of effects that a person ordered from the register.
BY_HAND = "Реестр документов"

_GAP_REASONS = {
    "ready": "документ готовится",
    "sending": "документ готовится",
    "held": "документ ждёт данных",
    "dead": "документ не удалось сделать",
    "cancelled": "документ отменён",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the register: a document, or a number that none bears; `remark` says why."""

    kind: str
    title: str
    number: str
    version: int
    issued_on: date
    client: str
    deal_id: str
    total: Decimal | None
    currency: str
    status: str
    remark: str
    document_id: int | None = None
    formats: tuple[str, ...] = ()
    variant: str = ""


class Register:
    """The documents of the accounts of one store. `kit`: today's templates, for the titles of kinds."""

    def __init__(
        self, db: Database, queue: JobQueue, kit: Callable[[], Kit], now: Callable[[], datetime]
    ) -> None:
        self._db = db
        self._queue = queue
        self._kit = kit
        self._now = now

    def entries(self, account: str, since: date, until: date) -> list[Entry]:
        """Lines dated in [since, until), by kind, date and number."""
        with self._db.read() as conn:
            row = facts.account_row(conn, account)
            zone = ZoneInfo(row.timezone if row else "Europe/Moscow")
            documents = archive.issued_between(conn, account, since, until)
            paid = payments.of_documents(conn, account, [document.id for document in documents])
            gaps = numbers.gaps(conn, account, _midnight(since, zone), _midnight(until, zone))
        lines = [_of_document(document, paid.get(document.id, ()), zone) for document in documents]
        lines += [self._of_gap(gap, zone) for gap in gaps]
        return sorted(lines, key=lambda line: (line.title, line.issued_on, line.number, line.version))

    def void(self, account: str, document_id: int, reason: str) -> bool | None:
        """Take a document out of force; False when it is void already, None when there is none."""
        with self._db.begin() as conn:
            if archive.by_id(conn, account, document_id) is None:
                return None
            return archive.void(conn, account, document_id, reason, self._now())

    def reissue(self, account: str, document_id: int, reason: str) -> int | None:
        """Order a new version of a document from the deal's present data; the id of the effect.

        The old one is void once the new one is made, so there is never none. None when there is no such
        document, it is void already, or its correction is ordered.
        """
        with self._db.begin() as conn:
            document = archive.by_id(conn, account, document_id)
            if document is None or document.is_void:
                return None
            params = {"kind": document.kind, "id": document.kind, "replaces": document.id, "reason": reason}
            effect_id = outbox.add(
                conn,
                account=account,
                key=f"reissue:{document.id}",
                rule=BY_HAND,
                action="document",
                params=params,
                deal_id=document.deal_id,
                now=self._now(),
            )
            if effect_id is not None:
                order_key = f"{account}:reissue:{document.id}"
                args = {"effect_id": effect_id}
                self._queue.enqueue(conn, "effect", args, account=account, order_key=order_key)
        return effect_id

    def _of_gap(self, gap: Gap, zone: ZoneInfo) -> Entry:
        template = self._kit().documents.get(gap.kind)
        given_on = gap.given_at.astimezone(zone).date()
        reason = _GAP_REASONS.get(gap.status or "", "действие, которому достался номер, удалено из журнала")
        return Entry(
            kind=gap.kind,
            title=template.title if template else gap.kind,
            number=template.number(gap.ordinal, given_on) if template else str(gap.ordinal),
            version=1,
            issued_on=given_on,
            client="",
            deal_id=gap.deal_id or "",
            total=None,
            currency="",
            status="нет документа",
            remark=f"{reason}: {gap.error}" if gap.error else reason,
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one kept file, in Russian."""

    document: ArchivedDocument
    file_name: str
    fault: str


def verify(db: Database, account: str, document_ids: Sequence[int]) -> list[Finding]:
    """Files whose bytes are no longer those that were kept."""
    found: list[Finding] = []
    for document_id in document_ids:
        with db.read() as conn:
            document = archive.by_id(conn, account, document_id)
        if document is not None:
            damaged = (file.name for file in document.files if not file.is_intact)
            found += [Finding(document, name, "содержимое в архиве изменено") for name in damaged]
    return found


def remake(db: Database, account: str, document_id: int) -> tuple[ArchivedDocument | None, list[Finding]]:
    """Make a document again from its kept data and the kept kit, and compare it with what was kept.

    None when there is no such document. Raises what rendering raises.
    """
    with db.read() as conn:
        document = archive.by_id(conn, account, document_id)
        files = kit_versions.files_of(conn, account, document.kit_sha256) if document else None
    if document is None:
        return None, []
    if files is None:
        return document, [Finding(document, "", "шаблоны, по которым он сделан, не сохранены")]
    with RenderPool(Kit.from_files(files)) as pool:
        made = {file.format: file.content for file in pool.render(document.kind, thaw(document.context))}
    changed = f" (тогда: {document.engine}; сейчас: {ENGINE})" if document.engine != ENGINE else ""
    return document, [
        Finding(document, file.name, f"сделанный заново файл отличается{changed}")
        for file in document.files
        if made.get(file.format) != file.content
    ]


def _of_document(document: ArchivedDocument, paid: Sequence[Payment], zone: ZoneInfo) -> Entry:
    status, remark = "аннулирован" if document.is_void else "действует", document.void_reason or ""
    if paid:
        status, remark = _paid(document, paid, zone, remark)
    return Entry(
        kind=document.kind,
        title=document.title,
        number=document.number,
        version=document.version,
        issued_on=document.issued_on,
        client=_client(document.context),
        deal_id=document.deal_id,
        total=document.total,
        currency=document.currency,
        status=status,
        remark=remark,
        document_id=document.id,
        formats=tuple(file.format for file in document.files),
        variant=document.variant,
    )


def _paid(
    document: ArchivedDocument, paid: Sequence[Payment], zone: ZoneInfo, remark: str
) -> tuple[str, str]:
    """Status and remark of a document that money came for."""
    came = received(paid, document.currency)
    last = max(one.paid_at or one.created_at for one in paid).astimezone(zone)
    if document.is_void:
        return "аннулирован", f"{remark}; пришло {came:.2f} {document.currency} {last:%d.%m.%Y}"
    if came >= (document.total or Decimal(0)):
        return "оплачен", f"{last:%d.%m.%Y}"
    if came > 0:
        return "оплачен частично", f"{came:.2f} {document.currency}, {last:%d.%m.%Y}"
    return "действует", "деньги возвращены" if any(one.refunded for one in paid) else remark


def _client(context: Mapping[str, object]) -> str:
    client = context.get("клиент")
    return str(client.get("название", "")) if isinstance(client, Mapping) else ""


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def month_of(day: date) -> tuple[date, date]:
    """The first day of that month and of the next."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)
