"""What a person can change on the board: moves, fields, notes, tasks, new deals.

Every change goes through the portal in the name of the deal's responsible user, as it would in a CRM. A
request that makes no sense raises `BadEdit` with a Russian reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from connector.sandbox.board_words import api_user_id
from connector.sandbox.clients import MAIL_ZONES, balanced, invent_client
from connector.sandbox.stage_codes import UNSORTED_NAME
from connector.sandbox.state import Deal, Note, Portal, Requisites, UnknownEntity

MAX_TEXT = 2000
CLIENT_FIELDS = frozenset(("company", "company_id", "contact_ids", "contact_email", "contact_phone"))
DEAL_FIELDS = frozenset(("name", "amount", "responsible_id", "loss_reason_id"))
REQUISITE_FIELDS = frozenset(field.name for field in fields(Requisites)) - {"id"}


class BadEdit(ValueError):
    """The request is malformed; the text says why, in Russian."""


class Editor:
    """Changes of one portal."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def move(self, deal_id: int, body: Mapping[str, Any]) -> None:
        """Put a deal into a stage: `stage`, and `pipeline_id`, `loss_reason_id` where they matter."""
        deal = self._deal(deal_id)
        pipeline_id = _whole(body, "pipeline_id", deal.pipeline_id)
        stage = str(body.get("stage", ""))
        kind = self._portal.stage(pipeline_id, stage).kind
        changes: dict[str, Any] = {"pipeline_id": pipeline_id, "stage": stage}
        if kind == "lost":
            changes["loss_reason_id"] = self._loss_reason(body.get("loss_reason_id"))
        self._portal.update_deal(deal_id, changes, by=self._person(deal))

    def edit_deal(self, deal_id: int, body: Mapping[str, Any]) -> None:
        """Change `name`, `amount`, `responsible_id`, `loss_reason_id`, `fields`.

        The product rows follow the amount, as a deal whose rows say otherwise would be at odds with itself.
        """
        deal = self._deal(deal_id)
        _only(body, DEAL_FIELDS | {"fields"})
        changes: dict[str, Any] = {}
        if "name" in body:
            changes["name"] = _text(body, "name")
        if "amount" in body:
            changes["amount"] = _amount(body["amount"])
            changes["rows"] = balanced(deal.rows, changes["amount"], self._portal.new_id("row"))
        if "responsible_id" in body:
            changes["responsible_id"] = self._user(_whole(body, "responsible_id", 0))
        if "loss_reason_id" in body:
            changes["loss_reason_id"] = self._loss_reason(body["loss_reason_id"])
        if "fields" in body:
            if not isinstance(body["fields"], dict):
                raise BadEdit("fields: нужен объект")
            changes["fields"] = {**deal.fields, **body["fields"]}
        self._portal.update_deal(deal_id, changes, by=self._person(deal))

    def delete_deal(self, deal_id: int) -> None:
        self._portal.delete_deal(deal_id, by=self._person(self._deal(deal_id)))

    def edit_contact(self, contact_id: int, body: Mapping[str, Any]) -> None:
        """Change the names, `post`, `email`, `phone` of a contact."""
        contact = self._portal.contacts.get(contact_id)
        if contact is None:
            raise UnknownEntity(f"contact {contact_id}")
        texts = {"name", "last_name", "second_name", "post"}
        _only(body, texts | {"email", "phone"})
        changes: dict[str, Any] = {name: _text(body, name) for name in texts & set(body)}
        changes.update(_addresses(body, contact.emails, contact.phones))
        self._portal.update("contact", contact_id, changes, by=self._known(contact.responsible_id))

    def edit_company(self, company_id: int, body: Mapping[str, Any]) -> None:
        """Change `name`, `email`, `phone` and any of the requisites of a company."""
        company = self._portal.companies.get(company_id)
        if company is None:
            raise UnknownEntity(f"company {company_id}")
        _only(body, REQUISITE_FIELDS | {"name", "email", "phone"})
        changes: dict[str, Any] = _addresses(body, company.emails, company.phones)
        if "name" in body:
            changes["name"] = _text(body, "name")
        details: dict[str, Any] = {name: _text(body, name) for name in REQUISITE_FIELDS & set(body)}
        if details:
            old = company.requisites or Requisites(self._portal.new_id("requisites"))
            changes["requisites"] = replace(old, **details)
        self._portal.update("company", company_id, changes, by=self._known(company.responsible_id))

    def add_note(self, deal_id: int, body: Mapping[str, Any]) -> None:
        deal = self._deal(deal_id)
        text = _text(body, "text")
        if not text:
            raise BadEdit("text: напишите текст примечания")
        person, now = self._person(deal), self._portal.now()
        self._portal.add("note", Note(0, "deal", deal_id, "common", text, person, now, now), by=person)

    def finish_task(self, task_id: int, body: Mapping[str, Any]) -> None:
        """Mark a task done (or, with `is_done` false, open again), with its `result`."""
        task = self._portal.tasks.get(task_id)
        if task is None:
            raise UnknownEntity(f"task {task_id}")
        changes = {"is_done": bool(body.get("is_done", True)), "result": _text(body, "result") or task.result}
        self._portal.update("task", task_id, changes, by=self._known(task.responsible_id))

    def add_deal(self, body: Mapping[str, Any]) -> int:
        """A new deal; its id. Without `company_id` an invented company and contact come with it.

        `company`, `contact_email`, `contact_phone` name them; an empty e-mail stays empty. `contact_ids` []
        makes a deal without a contact.
        """
        portal = self._portal
        _only(body, DEAL_FIELDS | CLIENT_FIELDS | {"pipeline_id", "stage"})
        with portal.lock:
            pipeline_id = _whole(body, "pipeline_id", min(portal.pipelines))
            pipeline = portal.pipelines.get(pipeline_id)
            if pipeline is None:
                raise UnknownEntity(f"pipeline {pipeline_id}")
            first = next(
                stage for stage in pipeline.stages if stage.kind == "open" and stage.name != UNSORTED_NAME
            )
            stage = portal.stage(pipeline_id, str(body.get("stage", first.code)))
            responsible = self._user(_whole(body, "responsible_id", self._known(0)))
            amount = _amount(body.get("amount"))
            company_id, contact_ids = self._client(body, responsible)
            name = _text(body, "name") or f"{portal.companies[company_id].name} — новая заявка"
            deal = Deal(
                id=0,
                name=name,
                pipeline_id=pipeline_id,
                stage=stage.code,
                amount=amount,
                currency=portal.currency,
                responsible_id=responsible,
                contact_ids=contact_ids,
                company_id=company_id,
                loss_reason_id=self._loss_reason(body.get("loss_reason_id")),
                rows=balanced([], amount, portal.new_id("row")),
            )
            return portal.add_deal(deal, by=responsible).id

    def _client(self, body: Mapping[str, Any], responsible: int) -> tuple[int, list[int]]:
        portal = self._portal
        wanted = body.get("contact_ids")
        if wanted is not None and not (
            isinstance(wanted, list) and all(key in portal.contacts for key in wanted)
        ):
            raise BadEdit("contact_ids: нет такого контакта")
        if "company_id" in body:
            company_id = _whole(body, "company_id", 0)
            if company_id not in portal.companies:
                raise UnknownEntity(f"company {company_id}")
            return company_id, list(wanted or [])
        name = _text(body, "company") or "ООО «Новый клиент»"
        client = invent_client(
            name,
            portal.new_id("company"),
            zone=MAIL_ZONES[portal.dialect],
            at=portal.now(),
            responsible_id=responsible,
        )
        assert client.company.requisites is not None
        portal.reserve_ids("requisites", client.company.requisites.id)
        portal.add("company", client.company, by=responsible)
        if wanted is not None:
            return client.company.id, list(wanted)
        contact = client.contacts[0]
        changes = _addresses(
            {
                key.removeprefix("contact_"): body[key]
                for key in ("contact_email", "contact_phone")
                if key in body
            },
            [],
            [],
        )
        stored = portal.add("contact", replace(contact, **changes), by=responsible)
        return client.company.id, [stored.id]

    def _deal(self, deal_id: int) -> Deal:
        deal = self._portal.deals.get(deal_id)
        if deal is None or deal.is_deleted:
            raise UnknownEntity(f"deal {deal_id}")
        return deal

    def _person(self, deal: Deal) -> int:
        return self._known(deal.responsible_id)

    def _known(self, user_id: int) -> int:
        """`user_id` when a person sits at the board as that user, else the first manager at work.

        The owner of the API's keys does not: his own moves could not be told from those of a program.
        """
        users = self._portal.users
        if user_id in users and user_id != api_user_id(self._portal):
            return user_id
        return min(
            (user.id for user in users.values() if user.is_active and not user.is_admin), default=min(users)
        )

    def _user(self, user_id: int) -> int:
        if user_id not in self._portal.users:
            raise BadEdit(f"responsible_id: нет пользователя {user_id}")
        return user_id

    def _loss_reason(self, value: Any) -> int | None:
        if value in (None, "", 0):
            return None
        if value not in self._portal.loss_reasons:
            raise BadEdit("loss_reason_id: нет такой причины отказа")
        return int(value)


def _only(body: Mapping[str, Any], known: set[str] | frozenset[str]) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise BadEdit(f"незнакомые поля: {', '.join(unknown)}")


def _whole(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadEdit(f"{name}: нужно целое число")
    return value


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise BadEdit(f"{name}: нужен текст не длиннее {MAX_TEXT} знаков")
    return value.strip()


def _amount(value: Any) -> Decimal | None:
    if value in (None, ""):
        return None
    try:
        amount = Decimal(str(value).replace("\u00a0", "").replace(" ", "").replace(",", "."))
    except InvalidOperation:
        raise BadEdit("amount: сумма не читается") from None
    if not amount.is_finite() or not 0 <= amount < 10**12:
        raise BadEdit("amount: сумма вне пределов")
    return amount.quantize(Decimal("0.01"))


def _addresses(body: Mapping[str, Any], emails: list[str], phones: list[str]) -> dict[str, Any]:
    """The first e-mail and phone replaced, the others kept; an empty one is taken away."""
    changes: dict[str, Any] = {}
    for name, target, old in (("email", "emails", emails), ("phone", "phones", phones)):
        if name in body:
            value = _text(body, name)
            changes[target] = ([value] if value else []) + old[1:]
    return changes
