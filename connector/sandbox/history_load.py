"""Put a `History` into a portal, in the stage codes of the portal's dialect.

Ids of deals, users and loss reasons are the history's own in both CRMs, so that figures read through either
API can be compared with figures over the folder. What the two CRMs keep in different places lies in the
portal as:

* calls: notes `call_in` / `call_out`, params `uniq`, `duration`, `phone`, `call_status`, `answered`;
* messages: notes `sms_in` / `sms_out`, params `text`, `phone`;
* invoices: notes `service_message`, params `service`, `text`, and `invoice_id`, `amount`, `status`,
  `issued_at`, `paid_at` (text; empty when not paid);
* meetings: tasks of kind 2, of which `bitrix24/past.py` makes activities; `due_at` is the planned hour,
  `is_done` tells that it is over, `result` how it ended, and `updated_at` of a held one is the moment it was
  held.

Notes, tasks, rows, marks and requisites of the past are the same objects in every portal loaded from one
`Past`: nothing may change one in place, and `Portal.update` does not.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from connector.sandbox.clients import MAIL_ZONES, Clients, has_contact, phone, product_rows
from connector.sandbox.garbage import no_garbage_collection
from connector.sandbox.history_tables import History, TransitionRow
from connector.sandbox.stage_codes import build_pipelines, code_of, pipeline_of
from connector.sandbox.state import (
    ROBOT,
    Company,
    Contact,
    Deal,
    HistoryRow,
    Note,
    Portal,
    ProductRow,
    Task,
    User,
)

#: Who is in every portal besides the managers. The first one, the owner, has made the keys of the API, as is
#: usual in a small company: what is written through it is written in her name.
OWNER = User(1, "Ольга", "Огнева", "owner@example.ru", is_admin=True, post="Собственник")
HEAD_OF_SALES = User(2, "Роман", "Рощин", "rop@example.ru", is_admin=True, post="Руководитель отдела продаж")
STAFF = (OWNER, HEAD_OF_SALES)

#: The result of a meeting that did not take place.
MEETING_CANCELLED = "Встреча отменена"

_INVOICE_STATES = {"issued": "выставлен", "paid": "оплачен", "cancelled": "отменён"}
_ANSWERED, _NOT_ANSWERED = 4, 6


@dataclass(frozen=True, slots=True)
class Past:
    """A history with what all portals share of it.

    moves: its stage changes in the order of time, numbered anew so that ids ascend with it; rows: products by
    deal.
    """

    history: History
    moves: list[TransitionRow]
    rows: dict[int, list[ProductRow]]
    clients: Clients
    notes: dict[int, Note]
    tasks: dict[int, Task]


def prepare(history: History, *, use_up: bool = False) -> Past:
    """What portals share of `history`, made once for all of them.

    use_up: let go of the tables that are notes, tasks and moves now, as they take much memory.
    """
    with no_garbage_collection():
        notes = {note.id: note for note in _notes(history)}
        tasks = {task.id: task for task in _tasks(history)}
        if use_up:
            for name in ("calls", "messages", "invoices", "tasks", "meetings"):
                getattr(history, name).clear()
        ordered = sorted(history.transitions, key=attrgetter("at", "event_id"))
        moves = [TransitionRow._make((number, *row[1:])) for number, row in enumerate(ordered, 1)]
        if use_up:
            history.transitions.clear()
            del ordered
        clients, rows, next_row = Clients(), {}, 1
        for deal in history.deals:
            clients.of_deal(deal)
            rows[deal.deal_id] = product_rows(deal, next_row)
            next_row += len(rows[deal.deal_id])
    return Past(history, moves, rows, clients, notes, tasks)


def load(past: Past, portal: Portal) -> None:
    """Fill an empty portal; nobody is told."""
    history = past.history
    with portal.lock, no_garbage_collection():
        portal.pipelines = build_pipelines(history, portal.dialect)
        portal.loss_reasons = {row.loss_reason_id: row.name for row in history.loss_reasons}
        portal.channels = {row.channel_id: row.name for row in history.channels}
        portal.users = {user.id: user for user in _users(history)}
        portal.load_history(_moves(past, portal))
        _load_deals(past, portal)
        portal.notes = past.notes
        portal.tasks = past.tasks
        for kind, table in (
            ("deal", portal.deals),
            ("contact", portal.contacts),
            ("company", portal.companies),
            ("note", portal.notes),
            ("task", portal.tasks),
        ):
            portal.reserve_ids(kind, max(table, default=0))
        portal.revision += 1


def _users(history: History) -> Iterator[User]:
    taken = {row.manager_id for row in history.managers}
    free = (number for number in range(1, 10_000) if number not in taken)
    for user in STAFF:
        yield User(next(free), user.name, user.last_name, user.email, user.is_admin, True, user.post)
    for row in history.managers:
        first, _, last = row.name.partition(" ")
        is_active = row.fired_on is None or row.fired_on > history.account.last_day
        yield User(
            row.manager_id,
            first,
            last,
            f"manager{row.manager_id}@example.ru",
            False,
            is_active,
            "Менеджер",
            row.team,
        )


def _moves(past: Past, portal: Portal) -> Iterator[HistoryRow]:
    """Stage changes in the portal's codes."""
    history = past.history
    codes = {
        (row.pipeline_id, row.stage_id): (pipeline_of(history, portal.dialect, row.pipeline_id), code)
        for row, code in code_of(history, portal.dialect).items()
    }
    last: dict[int, tuple[int, str]] = {}
    for number, deal_id, pipeline_id, at, from_stage, to_stage, by in past.moves:
        to = codes[pipeline_id, to_stage]
        before = None
        if from_stage is not None:
            before = last.get(deal_id) or codes.get((pipeline_id, from_stage), to)
        last[deal_id] = to
        from_pipeline, from_code = before or (None, None)
        yield HistoryRow(number, deal_id, at, from_pipeline, from_code, *to, by or ROBOT)


def _load_deals(past: Past, portal: Portal) -> None:
    history, clients = past.history, past.clients
    codes = {(row.pipeline_id, row.stage_id): code for row, code in code_of(history, portal.dialect).items()}
    pipelines = {
        pipeline_id: pipeline_of(history, portal.dialect, pipeline_id)
        for pipeline_id in {row.pipeline_id for row in history.stages}
    }
    first_by: dict[int, int] = {}
    latest: dict[int, tuple[datetime, int]] = {}
    for _, deal_id, at, _, _, _, _, by in portal.history:
        first_by.setdefault(deal_id, by)
        latest[deal_id] = (at, by)
    deals: dict[int, Deal] = {}
    for row in history.deals:
        client = clients.of_deal(row)
        updated_at, updated_by = latest.get(row.deal_id, (row.created_at, ROBOT))
        deals[row.deal_id] = Deal(
            id=row.deal_id,
            name=row.name,
            pipeline_id=pipelines[row.pipeline_id],
            stage=codes[row.pipeline_id, row.stage_id],
            amount=row.price,
            currency=history.account.currency,
            responsible_id=row.manager_id or 0,
            contact_ids=[contact.id for contact in client.contacts] if has_contact(row) else [],
            company_id=client.company.id,
            loss_reason_id=row.loss_reason_id,
            channel=row.channel_id,
            utm=_utm(row.utm_source, row.utm_medium, row.utm_campaign),
            created_at=row.created_at,
            updated_at=max(filter(None, (updated_at, row.closed_at, row.deleted_at))),
            closed_at=row.closed_at,
            created_by=first_by.get(row.deal_id, ROBOT),
            updated_by=updated_by,
            is_deleted=row.is_deleted,
            rows=past.rows[row.deal_id],
        )
    portal.deals = deals
    portal.reserve_ids("row", sum(map(len, past.rows.values())))
    companies: dict[int, Company] = {}
    contacts: dict[int, Contact] = {}
    for client in clients.in_zone(MAIL_ZONES[portal.dialect]):
        companies[client.company.id] = client.company
        contacts.update((contact.id, contact) for contact in client.contacts)
    portal.companies, portal.contacts = companies, contacts
    requisites = (company.requisites.id for company in companies.values() if company.requisites)
    portal.reserve_ids("requisites", max(requisites, default=0))


@functools.lru_cache(maxsize=10_000)
def _utm(source: str, medium: str, campaign: str) -> dict[str, str]:
    marks = {"source": source, "medium": medium, "campaign": campaign}
    return {name: value for name, value in marks.items() if value}


def _notes(history: History) -> Iterator[Note]:
    number = 0
    for call in history.calls:
        number += 1
        params = {
            "uniq": f"call-{call.call_id}",
            "duration": call.duration_s,
            "phone": phone(zlib.crc32(str(call.deal_id).encode())),
            "call_status": _ANSWERED if call.answered else _NOT_ANSWERED,
            "answered": call.answered,
        }
        kind = "call_in" if call.direction == "in" else "call_out"
        yield _note(number, call.deal_id, kind, call.manager_id, call.at, params)
    texts: dict[int, dict[str, object]] = {}
    for message in history.messages:
        number += 1
        kind = "sms_in" if message.direction == "in" else "sms_out"
        deal_id = message.deal_id
        if deal_id not in texts:
            texts[deal_id] = {"text": "", "phone": phone(zlib.crc32(str(deal_id).encode()))}
        yield _note(number, deal_id, kind, message.manager_id, message.at, texts[deal_id])
    for invoice in history.invoices:
        number += 1
        state = _INVOICE_STATES[invoice.status]
        params = {
            "service": "Счета",
            "text": f"Счёт № {invoice.invoice_id} на {invoice.amount} {history.account.currency}, {state}",
            "invoice_id": invoice.invoice_id,
            "amount": str(invoice.amount),
            "status": invoice.status,
            "issued_at": invoice.issued_at.isoformat(),
            "paid_at": invoice.paid_at.isoformat() if invoice.paid_at else "",
        }
        kind = "service_message"
        yield _note(number, invoice.deal_id, kind, invoice.manager_id, invoice.issued_at, params)


def _note(
    number: int, deal_id: int, kind: str, manager_id: int | None, at: datetime, params: dict[str, object]
) -> Note:
    return Note(number, "deal", deal_id, kind, "", manager_id or ROBOT, at, at, params=params)


def _tasks(history: History) -> Iterator[Task]:
    number = 0
    for row in history.tasks:
        number += 1
        done_at = row.completed_at
        responsible = row.manager_id or 0
        yield Task(
            number, "Связаться с клиентом", responsible, row.due_at, "deal", row.deal_id, responsible,
            row.created_at, done_at or row.created_at, is_done=done_at is not None,
        )  # fmt: skip
    results = {"held": "Встреча состоялась", "cancelled": MEETING_CANCELLED, "planned": ""}
    for meeting in history.meetings:
        number += 1
        responsible = meeting.manager_id or 0
        yield Task(
            number, "Встреча с клиентом", responsible, meeting.planned_at or meeting.created_at, "deal",
            meeting.deal_id, responsible, meeting.created_at, meeting.held_at or meeting.created_at,
            is_done=meeting.status != "planned", result=results[meeting.status], kind=2,
        )  # fmt: skip
