"""A CRM of the sandbox as its people see it: what they do there, and what they find afterwards."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import requests

from connector.config import CrmName
from connector.sandbox.app import Sandbox
from connector.sandbox.legal_ids import BIK, account, company_inn, corr_account, kpp, ogrn
from connector.sandbox.state import (
    Company,
    Contact,
    Deal,
    Note,
    Notice,
    Portal,
    ProductRow,
    Requisites,
    StoredFile,
    Task,
)

SALES = "Продажи"


class Office:
    """One portal of a sandbox. Knows nothing of the connector."""

    def __init__(self, sandbox: Sandbox, crm: CrmName) -> None:
        self.sandbox = sandbox
        self.crm: CrmName = crm
        self.portal: Portal = sandbox.portals[crm]

    # What a person does in the CRM

    @property
    def manager_id(self) -> int:
        return next(user.id for user in self.portal.users.values() if not user.is_admin and user.is_active)

    def add_deal(
        self,
        name: str = "Поставка оборудования",
        *,
        amount: Decimal | None = Decimal("122000.00"),
        email: str | None = "client@example.ru",
        company: str = "ООО «Ромашка»",
        inn: str | None = None,
        stage: str = "Встреча назначена",
        with_contact: bool = True,
    ) -> int:
        """A deal of «Продажи» with a client whose requisites are complete; its id."""
        by = self.manager_id
        requisites = Requisites(
            id=self.portal.new_id("requisites", 900_000),
            full_name=company,
            inn=company_inn(12345) if inn is None else inn,
            kpp=kpp(),
            ogrn=ogrn(12345, 2015),
            address="101000, г. Москва, ул. Примерная, д. 1",
            bank_name="ПАО «Пример Банк»",
            bik=BIK,
            account=account(777),
            corr_account=corr_account(),
            director_name="Иванов Иван Иванович",
            director_post="Генеральный директор",
            basis="Устава",
        )
        firm = self.portal.add(
            "company", Company(0, company, responsible_id=by, requisites=requisites), by=by
        )
        contact_ids = []
        if with_contact:
            person = Contact(
                0,
                "Пётр",
                last_name="Петров",
                second_name="Петрович",
                company_id=firm.id,
                responsible_id=by,
                emails=[email] if email else [],
                phones=["+7 900 000-00-00"],
            )
            contact_ids = [self.portal.add("contact", person, by=by).id]
        pipeline, code = self.stage(stage)
        rows = []
        if amount:
            rows = [
                ProductRow(
                    self.portal.new_id("row", 900_000), "Монтаж", amount, Decimal(1), vat_rate=Decimal(22)
                )
            ]
        deal = Deal(
            0,
            name,
            pipeline,
            code,
            amount,
            responsible_id=by,
            contact_ids=contact_ids,
            company_id=firm.id,
            rows=rows,
        )
        return self.portal.add_deal(deal, by=by).id

    def move(self, deal_id: int, stage: str, *, loss_reason_id: int | None = None) -> None:
        pipeline, code = self.stage(stage)
        changes: dict[str, object] = {"pipeline_id": pipeline, "stage": code}
        if loss_reason_id is not None:
            changes["loss_reason_id"] = loss_reason_id
        self.portal.update_deal(deal_id, changes, by=self.manager_id)

    def stage(self, name: str) -> tuple[int, str]:
        for pipeline in self.portal.pipelines.values():
            if pipeline.name == SALES:
                return pipeline.id, next(stage.code for stage in pipeline.stages if stage.name == name)
        raise LookupError(name)

    def set_email(self, deal_id: int, email: str) -> None:
        contact_id = self.portal.deals[deal_id].contact_ids[0]
        self.portal.update("contact", contact_id, {"emails": [email]}, by=self.manager_id)

    def set_inn(self, deal_id: int, inn: str) -> None:
        company = self.portal.companies[self.portal.deals[deal_id].company_id or 0]
        assert company.requisites is not None
        changed = {"requisites": replace(company.requisites, inn=inn)}
        self.portal.update("company", company.id, changed, by=self.manager_id)

    # What a person sees afterwards

    def notes(self, deal_id: int) -> list[Note]:
        return [n for n in list(self.portal.notes.values()) if n.entity == "deal" and n.entity_id == deal_id]

    def files(self, deal_id: int) -> list[StoredFile]:
        return [self.portal.files[file_id] for note in self.notes(deal_id) for file_id in note.file_ids]

    def file_names(self, deal_id: int) -> list[str]:
        return sorted(file.name for file in self.files(deal_id))

    def tasks(self, deal_id: int) -> list[Task]:
        return [t for t in list(self.portal.tasks.values()) if t.entity == "deal" and t.entity_id == deal_id]

    def task_texts(self, deal_id: int) -> list[str]:
        """What the manager reads; Bitrix24 keeps the first line as the title and the rest below it."""
        return [f"{task.text}\n{task.description}" for task in self.tasks(deal_id)]

    def letters(self, to: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = requests.get(self.sandbox.mailbox.inbox_url, timeout=10).json()
        return [letter for letter in found if to in letter["envelope"]["to"]]  # type: ignore[index]

    def notices(self, user_id: int, kind: str) -> list[Notice]:
        """What Bitrix24 tells a user: «notify» under the bell, «message» in a chat."""
        return [n for n in list(self.portal.notices.values()) if n.user_id == user_id and n.kind == kind]
