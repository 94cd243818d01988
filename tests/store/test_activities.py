"""Facts of calls, meetings, messages, tasks and invoices: each once, in the right deal; on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from connector.domain import (
    Activity,
    ActivityKind,
    CrmInvoice,
    CrmTask,
    Deal,
    Direction,
    InvoiceStatus,
    Outcome,
)
from connector.store import activities, facts, invoices, payments
from connector.store.activities import Kept
from connector.store.database import Database
from connector.store.schema import calls, documents, fact_log, meetings, messages, tasks
from connector.store.schema import invoices as invoice_rows
from tests.conftest import NOON

HOUR = timedelta(hours=1)


def activity(activity_id: str, kind: ActivityKind, at: datetime = NOON, **more: Any) -> Activity:
    given = {"deal_ids": ("1",), "responsible_id": "7", "happened_at": at, **more}
    return Activity(activity_id, kind, at, at, **given)


def call(activity_id: str, at: datetime = NOON, **more: Any) -> Activity:
    given = {"direction": Direction.OUT, "answered": True, "duration_s": 30, **more}
    return activity(activity_id, ActivityKind.CALL, at, **given)


def deal(deal_id: str, created_at: datetime, closed_at: datetime | None = None, **more: Any) -> Deal:
    outcome = Outcome.OPEN if closed_at is None else Outcome.WON
    return Deal(
        "main", deal_id, "Сделка", "1", "new", outcome, Decimal(1), "RUB", "7", created_at, created_at,
        closed_at, **more,
    )  # fmt: skip


def rows(db: Database, table: Any, *names: str) -> list[tuple[Any, ...]]:
    with db.read() as conn:
        return [tuple(row) for row in conn.execute(select(*(table.c[name] for name in names)))]


def save(db: Database, *found: Activity) -> activities.Saved:
    with db.begin() as conn:
        return activities.save_activities(conn, "main", found)


def test_each_kind_goes_to_its_table_and_notes_to_none(db: Database) -> None:
    saved = save(
        db,
        call("c"),
        activity("m", ActivityKind.MEETING, planned_at=NOON - HOUR),
        activity("e", ActivityKind.EMAIL, direction=Direction.IN),
        activity("n", ActivityKind.NOTE),
    )
    assert (saved.read, saved.new, saved.known) == (4, 3, 0)
    assert rows(
        db, calls, "call_id", "deal_id", "manager_id", "at", "direction", "answered", "duration_s"
    ) == [("c", "1", "7", NOON, "out", True, 30)]
    assert rows(db, meetings, "meeting_id", "planned_at", "held_at", "status") == [
        ("m", NOON - HOUR, NOON, "held")
    ]
    assert rows(db, messages, "message_id", "direction") == [("e", "in")]


def test_seen_anew_it_is_overwritten_and_what_is_planned_anew_is_taken_back(db: Database) -> None:
    planned = activity("m", ActivityKind.MEETING, happened_at=None, planned_at=NOON + HOUR)
    save(db, call("c"), planned)
    again = save(db, call("c", answered=False), replace(planned, is_cancelled=True))
    assert (again.new, again.known) == (0, 2)
    assert rows(db, calls, "answered", "is_deleted") == [(False, False)]
    assert rows(db, meetings, "status", "held_at") == [("cancelled", None)]
    save(db, replace(call("c"), happened_at=None))
    assert rows(db, calls, "is_deleted") == [(True,)]


def test_a_call_that_nobody_says_more_of_is_a_talk(db: Database) -> None:
    save(db, call("c", answered=None, duration_s=None, direction=None))
    assert rows(db, calls, "direction", "answered", "duration_s") == [("out", True, 0)]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOON - 50 * HOUR, None),  # before the client had any deal
        (NOON - 10 * HOUR - timedelta(minutes=1), "old"),  # the deal was made from this call
        (NOON - 9 * HOUR, "old"),
        (NOON - 3 * HOUR, "old"),  # the newest there was, though it is closed
        (NOON - timedelta(minutes=1), "new"),
        (NOON + HOUR, "new"),
    ],
)
def test_what_belongs_to_a_client_alone_belongs_to_the_deal_he_had_then(
    db: Database, at: datetime, expected: str | None
) -> None:
    made = [
        deal("old", NOON - 10 * HOUR, NOON - 5 * HOUR, contact_ids=("c1",)),
        deal("new", NOON, contact_ids=("c1",), company_id="f1"),
        deal("other", NOON - 40 * HOUR, contact_ids=("c2",)),
    ]
    with db.begin() as conn:
        facts.save_deals(conn, made, read_at=NOON)
        facts.add_links(conn, made)
    save(db, call("c", at, deal_ids=(), contact_ids=("c1",), company_ids=("f1",)))
    assert rows(db, calls, "deal_id") == [(expected,)]


def test_meetings_are_no_tasks_and_what_the_crm_lacks_is_marked(db: Database) -> None:
    task = CrmTask("1", "1", "Позвонить", "7", NOON, NOON, NOON + HOUR)
    with db.begin() as conn:
        activities.save_tasks(conn, "main", [task, replace(task, id="2", is_meeting=True)])
        assert activities.find(conn, "main", ["1", "2", "task:1"]) == [Kept("task_id", "1")]
        assert activities.mark_gone(conn, "main", [Kept("task_id", "1"), Kept("call_id", "1")]) == 1
        assert activities.find(conn, "main", ["1"]) == []
        assert activities.portion(conn, "main", "task_id", after="", limit=9, since=NOON) == []
    assert rows(db, tasks, "task_id", "due_at", "is_deleted") == [("1", NOON + HOUR, True)]


class Bills:
    """Our documents and the CRM's invoices of one deal, and what they come to."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def ours(self, number: str, total: str, at: datetime = NOON, **more: Any) -> int:
        values: dict[str, Any] = {
            "account": "main", "outbox_key": f"{number}:{more.get('version', 1)}", "deal_id": "1",
            "kind": "invoice", "title": "Счёт", "series": "invoice/a", "year": 2026,
            "ordinal": int(number[-3:]), "number": number, "issued_on": at.date(), "total": Decimal(total),
            "currency": "RUB", "template_sha256": "", "context": {"оплата": {}}, "created_at": at, **more,
        }  # fmt: skip
        with self.db.begin() as conn:
            statement = insert(documents).values(**values).returning(documents.c.id)
            return int(conn.execute(statement).scalar_one())

    def theirs(self, bill_id: str, number: str, amount: str, at: datetime = NOON, **more: Any) -> None:
        given = {"status": InvoiceStatus.ISSUED, "responsible_id": "7", **more}
        bill = CrmInvoice(bill_id, "1", number, Decimal(amount), "RUB", issued_at=at, updated_at=at, **given)
        with self.db.begin() as conn:
            invoices.save_invoices(conn, "main", [bill])

    def pay(self, document_id: int, amount: str, at: datetime) -> None:
        with self.db.begin() as conn:
            payment_id = payments.add(
                conn, account="main", document_id=document_id, deal_id="1", provider=payments.MANUAL,
                key=f"k{at}", amount=Decimal(amount), currency="RUB", now=at,
            )  # fmt: skip
            assert payment_id is not None
            payments.change(conn, payment_id, status="succeeded", paid_at=at)

    def found(self) -> list[tuple[Any, ...]]:
        with self.db.begin() as conn:
            invoices.settle_since(conn, "main", NOON - 100 * HOUR)
        return sorted(rows(self.db, invoice_rows, "invoice_id", "amount", "status", "paid_at"))


@pytest.fixture
def bills(db: Database) -> Bills:
    return Bills(db)


def test_one_invoice_of_ours_and_of_the_crm_is_one_by_number_else_by_sum_and_day(bills: Bills) -> None:
    same_number = bills.ours("2026-0001", "100.00")
    bills.ours("2026-0002", "250.50")
    bills.ours("2026-0003", "777.00")
    assert [row[0] for row in bills.found()] == ["own:1", "own:2", "own:3"]
    bills.theirs("51", "Счёт № 2026-0001", "99.00", NOON + 90 * HOUR)
    bills.theirs("52", "Б-17", "250.50", NOON + 70 * HOUR)
    bills.theirs("53", "Б-18", "777.00", NOON + 80 * HOUR)  # more than three days later: another one
    assert bills.found() == [
        ("51", Decimal("99.00"), "issued", None),
        ("52", Decimal("250.50"), "issued", None),
        ("53", Decimal("777.00"), "issued", None),
        ("own:3", Decimal("777.00"), "issued", None),
    ]
    bills.pay(same_number, "100.00", NOON + 5 * HOUR)
    assert bills.found()[0] == ("51", Decimal("99.00"), "paid", NOON + 5 * HOUR)
    # Read again, the CRM still calls it unpaid.
    bills.theirs("51", "Счёт № 2026-0001", "99.00", NOON + 90 * HOUR)
    assert bills.found()[0][2:] == ("paid", NOON + 5 * HOUR)


def test_an_invoice_is_paid_when_all_of_it_is_and_cancelled_when_it_is_void(bills: Bills) -> None:
    first, second = bills.ours("2026-0001", "100.00"), bills.ours("2026-0002", "50.00")
    bills.pay(first, "60.00", NOON + HOUR)
    bills.ours("2026-0003", "10.00", voided_at=NOON, context={"оплата": {}})
    bills.ours("2026-0004", "10.00", context={})  # asks for no money: no invoice
    assert [row[2] for row in bills.found()] == ["issued", "issued", "cancelled"]
    bills.pay(first, "40.00", NOON + 2 * HOUR)
    assert bills.found()[0] == (f"own:{first}", Decimal("100.00"), "paid", NOON + 2 * HOUR)
    assert bills.found()[1][0] == f"own:{second}"


def test_a_corrected_invoice_counts_once_on_the_day_of_its_first_version(bills: Bills) -> None:
    first = bills.ours("2026-0001", "100.00")
    assert bills.found() == [(f"own:{first}", Decimal("100.00"), "issued", None)]
    with bills.db.begin() as conn:
        conn.execute(update(documents).values(voided_at=NOON + HOUR))
    second = bills.ours("2026-0001", "120.00", NOON + HOUR, version=2, replaces_id=first)
    assert bills.found() == [(f"own:{second}", Decimal("120.00"), "issued", None)]
    assert rows(bills.db, invoice_rows, "issued_at") == [(NOON,)]


def test_what_is_read_again_as_it_is_stored_is_not_written_again(db: Database, bills: Bills) -> None:
    save(db, call("c"), activity("m", ActivityKind.MEETING, planned_at=NOON))
    bills.ours("2026-0001", "100.00")
    bills.theirs("51", "2026-0001", "100.00")
    bills.found()
    with db.read() as conn:
        before = conn.execute(select(func.count()).select_from(fact_log)).scalar_one()
    save(db, call("c"), activity("m", ActivityKind.MEETING, planned_at=NOON))
    bills.theirs("51", "2026-0001", "100.00")
    bills.found()
    with db.read() as conn:
        assert conn.execute(select(func.count()).select_from(fact_log)).scalar_one() == before
