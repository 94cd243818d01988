"""A small invented account for the tests of the amoCRM dialect, and a client that speaks to it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from connector.sandbox.admin import Admin
from connector.sandbox.amocrm import AmoCrm, Switches
from connector.sandbox.faults import Faults
from connector.sandbox.state import (
    Company,
    Contact,
    Deal,
    Pipeline,
    Portal,
    ProductRow,
    Requisites,
    Stage,
    User,
)

BASE = "http://127.0.0.1:9000"
TOKEN = "long-lived-token-of-the-test"
ACCOUNT_ID = 30_000_001
ADMIN, MANAGER = 101, 102
NEW, CONTRACT, WON, LOST = 2001, 2002, 142, 143
SALES, PARTNERS = 11, 12


def make_portal() -> Portal:
    """Two users, two pipelines, one company with requisites, one contact, one deal with two rows."""
    portal = Portal("amocrm", name="ООО «Ромашка»", timezone="Europe/Moscow")
    portal.users = {
        ADMIN: User(ADMIN, "Анна", "Админова", "admin@romashka.example", is_admin=True),
        MANAGER: User(MANAGER, "Мария", "Продажина", "sales@romashka.example"),
    }
    for pipeline_id, name, is_main in ((SALES, "Продажи", True), (PARTNERS, "Партнёры", False)):
        shift = 0 if is_main else 100
        portal.pipelines[pipeline_id] = Pipeline(
            pipeline_id,
            name,
            pipeline_id,
            [
                Stage(str(NEW + shift), pipeline_id, "Первичный контакт", 20, "open"),
                Stage(str(CONTRACT + shift), pipeline_id, "Договор", 30, "open"),
                Stage(str(WON), pipeline_id, "Успешно реализовано", 10000, "won"),
                Stage(str(LOST), pipeline_id, "Закрыто и не реализовано", 11000, "lost"),
            ],
            is_main=is_main,
        )
    portal.loss_reasons = {501: "Дорого", 502: "Пропала потребность"}
    portal.channels = {"site": "Сайт", "call": "Звонок"}
    past = datetime(2026, 1, 12, 9, 0, tzinfo=UTC)
    company = Company(
        0,
        "ООО «Северный ветер»",
        phones=["+74950000001"],
        responsible_id=MANAGER,
        created_at=past,
        updated_at=past,
        requisites=Requisites(
            1,
            full_name="Общество с ограниченной ответственностью «Северный ветер»",
            inn="7701000000",
            kpp="770101001",
            ogrn="1027700000000",
            bik="044525000",
            account="40702810000000000001",
            corr_account="30101810000000000001",
            bank_name="АО «Банк»",
            director_name="Ветров Иван Петрович",
        ),
    )
    company = portal.add("company", company, by=MANAGER)
    contact = Contact(
        0,
        "Пётр",
        "Ветров",
        post="Снабженец",
        phones=["+79160000001"],
        emails=["petr@veter.example"],
        company_id=company.id,
        responsible_id=MANAGER,
        created_at=past,
        updated_at=past,
    )
    contact = portal.add("contact", contact, by=MANAGER)
    portal.add_deal(
        Deal(
            0,
            "Поставка окон",
            SALES,
            str(NEW),
            Decimal("22500"),
            responsible_id=MANAGER,
            contact_ids=[contact.id],
            company_id=company.id,
            channel="site",
            utm={"source": "yandex"},
            rows=[
                ProductRow(1, "Окно", Decimal("10000.00"), Decimal(2), vat_rate=Decimal(22)),
                ProductRow(2, "Доставка", Decimal("2500.00"), Decimal(1)),
            ],
        ),
        by=MANAGER,
    )
    return portal


class Clock:
    """Monotonic seconds that stand until they are moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Office:
    """The account with a test client; `get` and friends send the long-lived token."""

    def __init__(self, *, limits_on: bool = False, switches: Switches | None = None) -> None:
        self.portal = make_portal()
        self.faults = Faults(clock=self.portal.clock)
        self.faults.limits_on = limits_on
        self.clock = Clock()
        self.amo = AmoCrm(
            self.portal,
            base_url=BASE,
            token=TOKEN,
            account_id=ACCOUNT_ID,
            faults=self.faults,
            switches=switches,
            monotonic=self.clock,
        )
        app = Flask("amocrm-office")
        app.register_blueprint(self.amo.blueprint())
        app.register_blueprint(Admin(self.faults, self.portal.clock).blueprint())
        self.client: FlaskClient = app.test_client()

    def call(self, method: str, path: str, *, token: str = TOKEN, **kwargs: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {token}", **kwargs.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, body: Any, **kwargs: Any) -> TestResponse:
        return self.call("POST", path, json=body, **kwargs)

    def patch(self, path: str, body: Any, **kwargs: Any) -> TestResponse:
        return self.call("PATCH", path, json=body, **kwargs)

    def read(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.get(path)
        assert answer.status_code == 200, (answer.status_code, answer.get_data(as_text=True))
        return answer.get_json(force=True)
