"""A small Bitrix24 portal for tests, and a caller of its methods."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from connector.clock import FixedClock
from connector.sandbox.bitrix24 import Bitrix24, Switches
from connector.sandbox.faults import Faults
from connector.sandbox.state import (
    ROBOT,
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

SECRET = "abc123def456"
TOKEN = "first-oauth-token"
MEMBER = "d4" * 16
APPLICATION = "c3" * 16
CREATED = datetime(2026, 2, 2, 9, 0, tzinfo=UTC)


def make_portal() -> Portal:
    """Two pipelines, two users, one company with requisites, two contacts, three deals."""
    portal = Portal("bitrix24", name="Ромашка", timezone="Europe/Moscow")
    portal.users = {
        1: User(1, "Анна", "Смирнова", "anna@example.ru", is_admin=True, post="Руководитель"),
        7: User(7, "Пётр", "Козлов", "petr@example.ru"),
    }
    portal.pipelines = {0: _pipeline(0, "Основная", "", is_main=True), 5: _pipeline(5, "Опт", "C5:")}
    portal.loss_reasons = {11: "Дорого", 12: "Купили у других"}
    portal.channels = {"WEB": "Сайт", "CALL": "Звонок"}
    requisites = Requisites(
        31,
        full_name="ООО «Северный ветер»",
        inn="7712345678",
        kpp="771201001",
        ogrn="1027700132195",
        address="127000, г. Москва, ул. Примерная, д. 1",
        bank_name="ПАО «Банк»",
        bik="044525225",
        account="40702810938000060473",
        corr_account="30101810400000000225",
        director_name="Иванов Иван Иванович",
        director_post="Генеральный директор",
        basis="Устава",
    )
    portal.companies = {
        3: Company(
            3, "Северный ветер", ["+74950000001"], ["office@example.ru"], 7, CREATED, CREATED, requisites
        )
    }
    portal.contacts = {
        55: Contact(
            55,
            "Ольга",
            "Белова",
            "",
            "Директор",
            ["+79160000001"],
            ["olga@example.ru"],
            3,
            7,
            CREATED,
            CREATED,
        ),
        56: Contact(56, "Игорь", responsible_id=7, created_at=CREATED, updated_at=CREATED),
    }
    rows = [
        ProductRow(
            901, "Внедрение", Decimal("120000.00"), Decimal(1), "шт", Decimal(20), Decimal("12000.00")
        ),
        ProductRow(902, "Обучение", Decimal("5000.50"), Decimal(2), "ч", None),
    ]
    for kind, highest in (
        ("deal", 12),
        ("contact", 56),
        ("company", 3),
        ("row", 902),
        ("requisites", 31),
    ):
        portal.reserve_ids(kind, highest)
    utm = {"source": "yandex", "medium": "cpc"}
    first = Deal(
        10, "Поставка", 0, "NEW", Decimal("130001.00"), "RUB", 7, [55, 56], 3, channel="WEB", utm=utm
    )
    first.rows = rows
    portal.add_deal(first, by=ROBOT)
    portal.add_deal(Deal(11, "Аренда", 0, "PREPARATION", Decimal(50000), "RUB", 1), by=1)
    portal.add_deal(Deal(12, "Опт зимой", 5, "C5:NEW", None, "RUB", 7), by=1)
    return portal


def _pipeline(number: int, name: str, prefix: str, *, is_main: bool = False) -> Pipeline:
    rows = (
        ("NEW", "Новая", "open"),
        ("PREPARATION", "Подготовка документов", "open"),
        ("WON", "Успех", "won"),
        ("LOSE", "Отказ", "lost"),
        ("APOLOGY", "Анализ отказа", "lost"),
    )
    stages = [
        Stage(prefix + code, number, title, place * 10, kind)
        for place, (code, title, kind) in enumerate(rows, 1)
    ]
    return Pipeline(number, name, 300 + number, stages, is_main)


class B24:
    """The simulator on a Flask test client; `post` gives status and body, `result` the result alone."""

    def __init__(self, portal: Portal | None = None, **options: Any) -> None:
        self.portal = portal or make_portal()
        self.clock = FixedClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
        self.faults = Faults()
        self.switches = Switches(event_delay_s=0.0)
        self.server = Bitrix24(
            self.portal,
            base_url="http://portal.example",
            webhook_user_id=1,
            webhook_secret=SECRET,
            oauth_token=TOKEN,
            member_id=MEMBER,
            application_token=APPLICATION,
            faults=self.faults,
            clock=self.clock,
            switches=self.switches,
            **options,
        )
        app = Flask(__name__)
        # The order of a batch's commands matters.
        app.json.sort_keys = False  # type: ignore[attr-defined]
        app.register_blueprint(self.server.blueprint())
        self.http: FlaskClient = app.test_client()

    def post(self, method: str, **params: Any) -> tuple[int, Any]:
        """Call as the webhook, JSON body."""
        answer = self.http.post(f"/rest/1/{SECRET}/{method}", json=params)
        return answer.status_code, answer.json

    def result(self, method: str, **params: Any) -> Any:
        status, body = self.post(method, **params)
        assert status == 200, body
        return body["result"]

    def app_post(self, method: str, **params: Any) -> tuple[int, Any]:
        """Call as the application."""
        answer = self.http.post(f"/rest/{method}", json={"auth": params.pop("auth", TOKEN), **params})
        return answer.status_code, answer.json

    def app_result(self, method: str, **params: Any) -> Any:
        status, body = self.app_post(method, **params)
        assert status == 200, body
        return body["result"]

    def add_deals(self, count: int) -> None:
        """More deals, made by the robot."""
        for number in range(count):
            self.portal.add_deal(Deal(0, f"Сделка {number}", 0, "NEW", Decimal(number)), by=ROBOT)

    def bodies(self) -> Iterator[dict[str, str]]:
        """Forms of all events that wait, in their order, as they would leave now."""
        for delivery in self.server.events.pending():
            yield dict(self.server.events.body(delivery))
