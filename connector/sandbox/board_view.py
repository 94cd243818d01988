"""What the board shows, as JSON-able dictionaries read from a portal. Changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from connector.sandbox.board_words import (
    NOTE_TITLES,
    REQUISITE_NAMES,
    author_name,
    full_name,
    plain,
    short_name,
    user_name,
)
from connector.sandbox.mailbox import Mailbox, ReceivedLetter
from connector.sandbox.state import (
    Company,
    Contact,
    Deal,
    HistoryRow,
    Note,
    Portal,
    Requisites,
    Stage,
    StoredFile,
    Task,
    UnknownEntity,
)

#: A closed column shows only the deals closed last; its head counts all.
CLOSED_SHOWN = 20
OPEN_SHOWN = 200
NOTICES_SHOWN = 50
#: A task of Bitrix24 may have no deadline; such ones lie beyond this year.
LAST_YEAR = 2200


class View:
    """Everything shown of one portal."""

    def __init__(self, crm: str, portal: Portal, mailbox: Mailbox) -> None:
        self.crm = crm
        self.portal = portal
        self._mailbox = mailbox

    def pipelines(self) -> list[dict[str, Any]]:
        with self.portal.lock:
            ordered = sorted(self.portal.pipelines.values(), key=lambda pipeline: pipeline.sort)
            return [
                {
                    "id": pipeline.id,
                    "name": pipeline.name,
                    "stages": [
                        _stage(stage) for stage in sorted(pipeline.stages, key=lambda stage: stage.sort)
                    ],
                }
                for pipeline in ordered
            ]

    def directory(self) -> dict[str, Any]:
        """What the forms choose from: users and loss reasons."""
        with self.portal.lock:
            return {
                "users": [
                    {"id": user.id, "name": user_name(self.portal, user.id), "post": user.post}
                    for user in self.portal.users.values()
                    if user.is_active
                ],
                "loss_reasons": [{"id": key, "name": name} for key, name in self.portal.loss_reasons.items()],
                "requisites": [{"key": key, "name": name} for key, name in REQUISITE_NAMES.items()],
            }

    def board(self, pipeline_id: int) -> dict[str, Any]:
        """The stages of a pipeline with their cards. Raises UnknownEntity."""
        with self.portal.lock:
            pipeline = self.portal.pipelines.get(pipeline_id)
            if pipeline is None:
                raise UnknownEntity(f"pipeline {pipeline_id}")
            columns: dict[str, list[Deal]] = {stage.code: [] for stage in pipeline.stages}
            for deal in self.portal.deals.values():
                if deal.pipeline_id == pipeline_id and not deal.is_deleted and deal.stage in columns:
                    columns[deal.stage].append(deal)
            letters = self._letters_by_address()
            return {
                "revision": self.portal.revision,
                "pipeline": {"id": pipeline.id, "name": pipeline.name},
                "stages": [
                    self._column(stage, columns[stage.code], letters)
                    for stage in sorted(pipeline.stages, key=lambda stage: stage.sort)
                ],
            }

    def deal(self, deal_id: int) -> dict[str, Any]:
        """A deal with its people, rows, tasks and timeline. Raises UnknownEntity."""
        with self.portal.lock:
            portal = self.portal
            deal = portal.deals.get(deal_id)
            if deal is None or deal.is_deleted:
                raise UnknownEntity(f"deal {deal_id}")
            stage = portal.stage(deal.pipeline_id, deal.stage)
            contacts = [portal.contacts[key] for key in deal.contact_ids if key in portal.contacts]
            company = portal.companies.get(deal.company_id) if deal.company_id else None
            tasks = [portal.tasks[key] for key in portal.index.tasks.of("deal", deal.id)]
            return {
                "revision": portal.revision,
                "id": deal.id,
                "name": deal.name,
                "amount": None if deal.amount is None else str(deal.amount),
                "currency": deal.currency,
                "pipeline_id": deal.pipeline_id,
                "pipeline": portal.pipelines[deal.pipeline_id].name,
                "stage": deal.stage,
                "stage_name": stage.name,
                "kind": stage.kind,
                "responsible_id": deal.responsible_id,
                "responsible": user_name(portal, deal.responsible_id),
                "loss_reason_id": deal.loss_reason_id,
                "loss_reason": portal.loss_reasons.get(deal.loss_reason_id or 0),
                "channel": portal.channels.get(deal.channel or ""),
                "utm": " / ".join(str(mark) for mark in deal.utm.values()),
                "created_at": _iso(deal.created_at),
                "closed_at": _iso(deal.closed_at),
                "fields": {str(name): str(value) for name, value in deal.fields.items()},
                "contacts": [_contact(contact) for contact in contacts],
                "company": _company(company) if company else None,
                "rows": [
                    {
                        "name": row.name,
                        "price": str(row.price),
                        "quantity": str(row.quantity),
                        "unit": row.unit,
                        "vat_rate": None if row.vat_rate is None else str(row.vat_rate),
                        "sum": str(row.price * row.quantity),
                    }
                    for row in deal.rows
                ],
                "tasks": [self._task(task) for task in sorted(tasks, key=_task_order)],
                "timeline": self._timeline(deal, contacts),
            }

    def notices(self) -> list[dict[str, Any]]:
        """Messages to users inside the CRM, the newest first."""
        with self.portal.lock:
            latest = sorted(self.portal.notices.values(), key=lambda notice: -notice.id)[:NOTICES_SHOWN]
            return [
                {
                    "id": notice.id,
                    "user": user_name(self.portal, notice.user_id),
                    "user_id": notice.user_id,
                    "text": plain(notice.text),
                    "at": _iso(notice.at),
                    "kind": notice.kind,
                }
                for notice in latest
            ]

    def file(self, uuid: str) -> StoredFile | None:
        with self.portal.lock:
            return next((file for file in self.portal.files.values() if file.uuid == uuid), None)

    def _column(
        self, stage: Stage, deals: list[Deal], letters: dict[str, list[ReceivedLetter]]
    ) -> dict[str, Any]:
        deals.sort(key=lambda deal: (deal.updated_at, deal.id), reverse=True)
        shown = deals[: OPEN_SHOWN if stage.kind == "open" else CLOSED_SHOWN]
        return {
            **_stage(stage),
            "count": len(deals),
            "amount": str(sum(deal.amount or 0 for deal in deals)),
            "deals": [self._card(deal, letters) for deal in shown],
        }

    def _card(self, deal: Deal, letters: dict[str, list[ReceivedLetter]]) -> dict[str, Any]:
        portal = self.portal
        contact = portal.contacts.get(deal.contact_ids[0]) if deal.contact_ids else None
        open_tasks = [
            task
            for key in portal.index.open_tasks.of("deal", deal.id)
            if (task := portal.tasks.get(key)) is not None
        ]
        files = sum(len(self._note_files(note)) for note in self._deal_notes(deal.id))
        emails = contact.emails if contact else []
        return {
            "id": deal.id,
            "name": deal.name,
            "amount": None if deal.amount is None else str(deal.amount),
            "currency": deal.currency,
            "responsible": user_name(portal, deal.responsible_id),
            "contact": short_name(contact) if contact else "",
            "has_email": bool(emails),
            "updated_at": _iso(deal.updated_at),
            "loss_reason": portal.loss_reasons.get(deal.loss_reason_id or 0),
            "tasks": len(open_tasks),
            "is_overdue": any(task.due_at < portal.now() for task in open_tasks),
            "files": files,
            "letters": len({letter.id for email in emails for letter in letters.get(email.lower(), ())}),
        }

    def _deal_notes(self, deal_id: int) -> Iterator[Note]:
        for key in self.portal.index.notes.of("deal", deal_id):
            if (note := self.portal.notes.get(key)) is not None:
                yield note

    def _timeline(self, deal: Deal, contacts: list[Contact]) -> list[dict[str, Any]]:
        """Moves, notes and letters, the latest first; in one second a move precedes what it caused."""
        moves = [self._move(row) for row in self.portal.history if row.deal_id == deal.id]
        notes = [self._note(note) for note in self._deal_notes(deal.id)]
        by_address = self._letters_by_address()
        letters = {
            letter.id: _letter(letter)
            for contact in contacts
            for email in contact.emails
            for letter in by_address.get(email.lower(), ())
        }
        entries = [*moves, *notes, *letters.values()]
        entries.sort(key=lambda entry: str(entry["at"]))
        return entries[::-1]

    def _move(self, row: HistoryRow) -> dict[str, Any]:
        to = self.portal.stage(row.to_pipeline_id, row.to_stage)
        text = f"Создана: «{to.name}»"
        if row.from_stage is not None and row.from_pipeline_id is not None:
            before = self.portal.stage(row.from_pipeline_id, row.from_stage)
            text = f"«{before.name}» → «{to.name}»"
            if row.from_pipeline_id != row.to_pipeline_id:
                text += f", воронка «{self.portal.pipelines[row.to_pipeline_id].name}»"
        return {
            "key": f"move-{row.id}",
            "at": _iso(row.at),
            "kind": "move",
            "title": "Этап" if row.from_stage is not None else "Сделка",
            "text": text,
            "author": author_name(self.portal, row.by),
            "files": [],
        }

    def _note(self, note: Note) -> dict[str, Any]:
        return {
            "key": f"note-{note.id}",
            "at": _iso(note.created_at),
            "kind": "invoice" if "invoice_id" in note.params else note.kind,
            "title": str(note.params.get("service") or NOTE_TITLES.get(note.kind, "Запись")),
            "text": self._note_text(note),
            "author": author_name(self.portal, note.created_by),
            "files": [
                {
                    "name": file.name,
                    "url": f"/sandbox/files/{self.crm}/{file.uuid}",
                    "size": len(file.content),
                    "mime_type": file.mime_type,
                }
                for file in self._note_files(note)
            ],
        }

    def _note_text(self, note: Note) -> str:
        params = note.params
        if note.kind in ("call_in", "call_out"):
            seconds = int(params.get("duration") or 0)
            talk = f"{seconds // 60}:{seconds % 60:02d}" if seconds else "без ответа"
            return ", ".join(filter(None, (str(params.get("phone") or ""), talk, plain(note.text))))
        text = plain(note.text or str(params.get("text") or ""))
        # amoCRM calls a note without words after its file.
        return "" if text in {file.name for file in self._note_files(note)} else text

    def _note_files(self, note: Note) -> list[StoredFile]:
        files = [self.portal.files[key] for key in note.file_ids if key in self.portal.files]
        uuid = note.params.get("file_uuid")
        if not files and uuid:
            files = [file for file in self.portal.files.values() if file.uuid == uuid]
        return files

    def _task(self, task: Task) -> dict[str, Any]:
        return {
            "id": task.id,
            "text": plain(task.text),
            "description": plain(task.description),
            "responsible": user_name(self.portal, task.responsible_id),
            "author": author_name(self.portal, task.created_by),
            "due_at": _iso(task.due_at) if task.due_at.year < LAST_YEAR else "",
            "created_at": _iso(task.created_at),
            "is_done": task.is_done,
            "is_overdue": not task.is_done and task.due_at < self.portal.now(),
            "result": plain(task.result),
        }

    def _letters_by_address(self) -> dict[str, list[ReceivedLetter]]:
        found: defaultdict[str, list[ReceivedLetter]] = defaultdict(list)
        for letter in self._mailbox.letters():
            for address in letter.recipients:
                found[address.lower()].append(letter)
        return found


def _stage(stage: Stage) -> dict[str, Any]:
    return {"code": stage.code, "name": stage.name, "kind": stage.kind, "color": stage.color}


def _letter(letter: ReceivedLetter) -> dict[str, Any]:
    return {
        "key": f"letter-{letter.id}",
        "at": _iso(letter.received_at),
        "kind": "letter",
        "title": "Письмо клиенту",
        "text": letter.subject,
        "author": letter.header("From"),
        "url": f"/mail#{letter.id}",
        "files": [
            {
                "name": part.name,
                "url": f"/sandbox/mail/{letter.id}/files/{number}",
                "size": len(part.content),
                "mime_type": part.mime_type,
            }
            for number, part in enumerate(letter.attachments)
        ],
    }


def _contact(contact: Contact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "full_name": full_name(contact),
        "name": contact.name,
        "last_name": contact.last_name,
        "second_name": contact.second_name,
        "post": contact.post,
        "emails": contact.emails,
        "phones": contact.phones,
    }


def _company(company: Company) -> dict[str, Any]:
    requisites = company.requisites or Requisites(0)
    return {
        "id": company.id,
        "name": company.name,
        "emails": company.emails,
        "phones": company.phones,
        "requisites": {name: getattr(requisites, name) for name in REQUISITE_NAMES},
    }


def _task_order(task: Task) -> tuple[bool, float]:
    """Open ones first, the most urgent on top; then done ones, the latest on top."""
    due = task.due_at.timestamp()
    return task.is_done, -due if task.is_done else due


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
