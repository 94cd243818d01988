"""A sandbox CRM and a connector that is connected to it over HTTP and SMTP, for tests of the whole way."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import requests

from connector.app import App
from connector.commands.roles import Running
from connector.config import AccountConfig, Config, CrmName, MailConfig
from connector.demo import BITRIX24_EVENTS
from connector.sandbox.app import Sandbox
from connector.sandbox.legal_ids import BIK, account, company_inn, corr_account, kpp, ogrn
from connector.sandbox.state import (
    Company,
    Contact,
    Deal,
    Note,
    Portal,
    ProductRow,
    Requisites,
    StoredFile,
    Task,
)
from connector.web.server import WebServer
from connector.web.webhooks import hook_path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
SALES = "Продажи"
HOOK_SECRET = "0123456789abcdefghij"

T = TypeVar("T")

#: Long enough for a busy machine; a passing test never waits for it.
PATIENCE_S = 25.0


class NoLimit:
    """The rate limit of a CRM without one: the sandbox's is off as well."""

    def acquire(self, key: str, *, rate_per_s: float, burst: int, max_wait: timedelta) -> timedelta:
        return timedelta(0)

    def push_back(self, key: str, until: datetime) -> None:
        return None


class Stand:
    """One account of one CRM, its sandbox and its connector. Use as a context manager."""

    def __init__(
        self,
        sandbox: Sandbox,
        crm: CrmName,
        database_url: str,
        *,
        worker: bool = True,
        templates: Path = TEMPLATES,
    ) -> None:
        self.sandbox = sandbox
        self.crm = crm
        self.portal: Portal = sandbox.portals[crm]
        self._stack = ExitStack()
        self._worker = worker
        self._server = WebServer("127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.port}"
        doors = sandbox.describe()
        door = doors[crm]
        settings = AccountConfig(
            name="main",
            crm=crm,
            url=(door["base_url"] if crm == "amocrm" else door["webhook_url"]).rstrip("/"),
            token=door.get("token", ""),
            hook_secret=HOOK_SECRET,
            application_token=door.get("application_token", ""),
        )
        self.config = Config(
            accounts=(settings,),
            database_url=database_url,
            templates_dir=templates,
            base_url=self.base_url,
            mail=MailConfig(
                doors["mail"]["smtp_host"], doors["mail"]["smtp_port"], "sales@example.ru", security="none"
            ),
            web_host="127.0.0.1",
            web_port=self._server.port,
            worker_threads=4,
            render_workers=1,
            admin_password="",
            log_level="WARNING",
        )
        self.app = App(self.config, limiter=NoLimit())
        self.hook_url = self.base_url + hook_path(settings)

    def __enter__(self) -> Stand:
        self._stack.callback(self.app.close)
        self.app.prepare()
        self._stack.enter_context(
            Running(self.app, server=self._server, worker=self._worker, scheduler=False)
        )
        self.app.directories.refresh("main")
        if self.crm == "bitrix24":
            self.sandbox.bitrix24.add_outgoing_webhook(self.hook_url, BITRIX24_EVENTS)
        else:
            self.app.clients["main"].subscribe(self.hook_url)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

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

    # Waiting

    def wait_for(self, question: Callable[[], T], what: str) -> T:
        """The first true answer; fails, saying what was waited for and where the work stands."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            answer = question()
            if answer:
                return answer
            time.sleep(0.05)
        raise AssertionError(f"not seen in {PATIENCE_S:.0f} s: {what}; {self.app.status()}")

    def settle(self) -> None:
        """Wait until no job is due or running for a while: hooks of the last effects come a little later."""
        quiet = 0

        def is_quiet() -> bool:
            nonlocal quiet
            counts = self.app.queue.counts("main")
            quiet = quiet + 1 if counts.due == 0 and counts.running == 0 else 0
            return quiet > 10

        self.wait_for(is_quiet, "quiet")
