"""Put a `History` into a portal, in the stage codes of the portal's dialect.

Ids of deals, users and loss reasons are the history's own in both CRMs, so that figures read through either
API can be compared with figures over the folder. What the two CRMs keep in different places lies in the
portal as:

* calls: notes `call_in` / `call_out`, params `uniq`, `duration`, `phone`, `call_status`, `answered`;
* messages: notes `sms_in` / `sms_out`, params `text`, `phone`;
* invoices: notes `service_message`, params `service`, `text`, and `invoice_id`, `amount`, `status`,
  `issued_at`, `paid_at` (text; empty when not paid);
* meetings: tasks of kind 2; `due_at` is the planned hour, `is_done` tells that it is over, `result` how it
  ended, and `updated_at` of a held one is the moment it was held.

Notes and tasks of the past are the same objects in every portal loaded from one `Past`: nothing may change
one in place, and `Portal.update` does not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from connector.sandbox.clients import MAIL_ZONES, Clients, has_contact, phone, product_rows
from connector.sandbox.garbage import no_garbage_collection
from connector.sandbox.history_tables import DealRow, History
from connector.sandbox.stage_codes import build_pipelines, code_of, pipeline_of
from connector.sandbox.state import ROBOT, Deal, HistoryRow, Note, Portal, Task, User

#: Who is in every portal besides the managers. The first one, the owner, has made the keys of the API, as is
#: usual in a small company: what is written through it is written in her name.
OWNER = User(1, "Ольга", "Огнева", "owner@example.ru", is_admin=True, post="Собственник")
HEAD_OF_SALES = User(2, "Роман", "Рощин", "rop@example.ru", is_admin=True, post="Руководитель отдела продаж")
STAFF = (OWNER, HEAD_OF_SALES)

_INVOICE_STATES = {"issued": "выставлен", "paid": "оплачен", "cancelled": "отменён"}
_ANSWERED, _NOT_ANSWERED = 4, 6


@dataclass(frozen=True, slots=True)
class Past:
    """A history with what all portals share of it."""

    history: History
    notes: dict[int, Note]
    tasks: dict[int, Task]


def prepare(history: History) -> Past:
    """The notes and tasks of `history`, made once for all portals."""
    with no_garbage_collection():
        notes = {note.id: note for note in _notes(history)}
        tasks = {task.id: task for task in _tasks(history)}
    return Past(history, notes, tasks)


def load(past: Past, portal: Portal) -> None:
    """Fill an empty portal; nobody is told."""
    history = past.history
    with portal.lock, no_garbage_collection():
        portal.pipelines = build_pipelines(history, portal.dialect)
        portal.loss_reasons = {row.loss_reason_id: row.name for row in history.loss_reasons}
        portal.channels = {row.channel_id: row.name for row in history.channels}
        portal.users = {user.id: user for user in _users(history)}
        portal.load_history(_moves(history, portal))
        _load_deals(history, portal)
        portal.notes = dict(past.notes)
        portal.tasks = dict(past.tasks)
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
            row.manager_id, first, last, f"manager{row.manager_id}@example.ru", False, is_active, row.team
        )


def _moves(history: History, portal: Portal) -> Iterator[HistoryRow]:
    """Stage changes in the order of time, numbered anew so that ids ascend with it."""
    codes = {
        (row.pipeline_id, row.stage_id): (pipeline_of(history, portal.dialect, row.pipeline_id), code)
        for row, code in code_of(history, portal.dialect).items()
    }
    last: dict[int, tuple[int, str]] = {}
    ordered = sorted(history.transitions, key=lambda row: (row.at, row.event_id))
    for number, row in enumerate(ordered, 1):
        to = codes[row.pipeline_id, row.to_stage_id]
        before = last.get(row.deal_id) if row.from_stage_id is not None else None
        if before is None and row.from_stage_id is not None:
            before = codes.get((row.pipeline_id, row.from_stage_id), to)
        last[row.deal_id] = to
        yield HistoryRow(
            number,
            row.deal_id,
            row.at,
            before[0] if before else None,
            before[1] if before else None,
            to[0],
            to[1],
            row.changed_by or ROBOT,
        )


def _load_deals(history: History, portal: Portal) -> None:
    codes = {(row.pipeline_id, row.stage_id): code for row, code in code_of(history, portal.dialect).items()}
    pipelines = {
        pipeline_id: pipeline_of(history, portal.dialect, pipeline_id)
        for pipeline_id in {row.pipeline_id for row in history.stages}
    }
    first_by: dict[int, int] = {}
    latest: dict[int, tuple[datetime, int]] = {}
    for move in portal.history:
        first_by.setdefault(move.deal_id, move.by)
        latest[move.deal_id] = (move.at, move.by)
    clients = Clients(MAIL_ZONES[portal.dialect])
    next_row = 1
    for row in history.deals:
        client = clients.of_deal(row)
        rows = product_rows(row, next_row)
        next_row += len(rows)
        updated_at, updated_by = latest.get(row.deal_id, (row.created_at, ROBOT))
        portal.deals[row.deal_id] = Deal(
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
            utm=_utm(row),
            created_at=row.created_at,
            updated_at=max(filter(None, (updated_at, row.closed_at, row.deleted_at))),
            closed_at=row.closed_at,
            created_by=first_by.get(row.deal_id, ROBOT),
            updated_by=updated_by,
            is_deleted=row.is_deleted,
            rows=rows,
        )
    portal.reserve_ids("row", next_row - 1)
    for client in clients.all():
        portal.companies[client.company.id] = client.company
        if client.company.requisites:
            portal.reserve_ids("requisites", client.company.requisites.id)
        for contact in client.contacts:
            portal.contacts[contact.id] = contact


def _utm(row: DealRow) -> dict[str, str]:
    marks = {"source": row.utm_source, "medium": row.utm_medium, "campaign": row.utm_campaign}
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
    for message in history.messages:
        number += 1
        kind = "sms_in" if message.direction == "in" else "sms_out"
        params = {"text": "", "phone": phone(zlib.crc32(str(message.deal_id).encode()))}
        yield _note(number, message.deal_id, kind, message.manager_id, message.at, params)
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
    results = {"held": "Встреча состоялась", "cancelled": "Встреча отменена", "planned": ""}
    for meeting in history.meetings:
        number += 1
        responsible = meeting.manager_id or 0
        yield Task(
            number, "Встреча с клиентом", responsible, meeting.planned_at or meeting.created_at, "deal",
            meeting.deal_id, responsible, meeting.created_at, meeting.held_at or meeting.created_at,
            is_done=meeting.status != "planned", result=results[meeting.status], kind=2,
        )  # fmt: skip
