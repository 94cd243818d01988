"""An account with a shop: invoices in the store, the client's page and the notices' address over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import requests
from flask import Flask

from connector.clock import FixedClock
from connector.config import AccountConfig, PaymentConfig
from connector.paying import Paying
from connector.payments.base import PaymentProvider
from connector.payments.registry import PROVIDERS
from connector.playbook.model import Playbook
from connector.sandbox.moving_clock import MovingClock
from connector.sandbox.yookassa import YooKassaShop
from connector.settling import Settling
from connector.store import archive, payments
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from connector.store.payments import Payment
from connector.web.payments import notice_path, payment_pages
from connector.web.server import WebServer
from tests.conftest import NOON
from tests.test_intake import LEASE, Desk, after, deal

RULES = Playbook.model_validate(
    {
        "rules": [
            {
                "name": "Оплата",
                "when": {"happens": "paid", "document": "invoice"},
                "repeat": "every_entry",
                "do": [{"note": "спасибо"}],
            }
        ]
    }
)


class PayDesk(Desk):
    """A `Desk` whose account sells over YooKassa. Use as a context manager."""

    def __init__(self, db: Database, clock: FixedClock, provider: str = "yookassa", **settings: Any) -> None:
        super().__init__(db, clock, RULES)
        self.crm.stands = deal("new", after(1))
        self.server = WebServer("127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self.server.port}"
        self.shop = YooKassaShop(self.base_url, MovingClock(NOON))
        self.config = AccountConfig(
            "main",
            "amocrm",
            "https://crm.example",
            hook_secret="0123456789abcdefghij",
            payment=PaymentConfig(
                provider=provider,
                shop_id=self.shop.shop_id,
                secret_key=self.shop.secret_key,
                url=self.shop.api_url,
                **settings,
            ),
        )
        self.providers: Mapping[str, PaymentProvider] = {
            "main": PROVIDERS[provider](self.config.payment, lambda deal_id, amount: None)
        }
        accounts = {"main": self.config}
        self.paying = Paying(db, accounts, self.providers, self.base_url, clock)
        self.settling = Settling(db, self.queue, self.providers, self.paying, self.happenings, clock)
        self.notice_url = self.base_url + notice_path(self.config)
        self.shop.notify_urls = [self.notice_url]
        self.flask = Flask("paydesk")
        self.flask.register_blueprint(self.shop.blueprint())
        self.flask.register_blueprint(
            payment_pages(accounts, self.providers, self.paying, self.settling, db, clock)
        )

    def __enter__(self) -> PayDesk:
        self.server.start(self.flask)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def invoice(self, total: str = "1200.00", ordinal: int = 1, replaces: int | None = None) -> int:
        """A kept invoice of the deal; its id."""
        with self.db.begin() as conn:
            return archive.save(
                conn,
                account="main",
                outbox_key=f"invoice:{ordinal}:{replaces}",
                deal_id="7",
                kind="invoice",
                title="Счёт на оплату",
                series="invoice/main",
                ordinal=ordinal,
                number=f"2026-{ordinal:04}",
                issued_on=date(2026, 11, 24),
                total=Decimal(total),
                currency="RUB",
                template_sha256="a" * 64,
                context={
                    "оплата": {"назначение": f"Оплата по счёту № {ordinal}"},
                    "продавец": {"название": "ООО «Ромашка»"},
                },
                files=[],
                now=self.clock.now(),
                version=2 if replaces else 1,
                replaces_id=replaces,
            )

    def document(self, document_id: int) -> ArchivedDocument:
        with self.db.read() as conn:
            found = archive.by_id(conn, "main", document_id)
        assert found is not None
        return found

    def url(self, document_id: int) -> str:
        address = self.paying.pay_url(self.document(document_id))
        assert address is not None
        return address

    def click(self, document_id: int) -> requests.Response:
        """The client presses «Оплатить»; where that leads is not followed."""
        return requests.post(self.url(document_id), allow_redirects=False, timeout=10)

    def open_payment(self, document_id: int) -> str:
        """The provider's id of the payment that the click began."""
        answer = self.click(document_id)
        assert answer.status_code == 303, answer.text
        found = re.search(r"/yookassa/checkout/(\S+)$", answer.headers["Location"])
        assert found is not None
        return found[1]

    def notify(self, body: Any) -> int:
        return requests.post(self.notice_url, json=body, timeout=10).status_code

    def work(self) -> None:
        """Deliver what is due, then work everything off."""
        self.shop.run_due()
        while jobs := self.queue.claim("w", "work", 10, 10, LEASE):
            for job in jobs:
                if job.task == "payment":
                    self.settling.handle(job)
                if job.task == "happening":
                    self.happenings.handle(job)
                self.queue.finish(job)

    def rows(self, document_id: int) -> list[Payment]:  # type: ignore[override]
        with self.db.read() as conn:
            return payments.of_document(conn, "main", document_id)

    def tasks(self) -> list[str]:
        return [effect.params["text"] for effect in self.effects() if effect.action == "alarm"]

    def notes(self) -> list[str]:
        return [effect.params["text"] for effect in self.effects() if effect.action == "note"]

    def thanks(self) -> int:
        """How often the rule about paid invoices has fired."""
        return self.notes().count("спасибо")

    def later(self, **duration: float) -> None:
        self.clock.sleep(timedelta(**duration))
