"""What Bitrix24 has beside deals: the catalogue, people's drives, the live feed, business processes."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connector.crm.bitrix24 import disk
from connector.crm.bitrix24.client import Bitrix24Client
from connector.domain import CrmFile, Product
from connector.errors import CrmError
from tests.contract.office import Office, fresh_deal
from tests.contract.test_past import rest

pytestmark = pytest.mark.parametrize("office", ["bitrix24"], indirect=True)

FILES = [
    CrmFile("Отчёт за день.pdf", b"%PDF-1.7", "application/pdf"),
    CrmFile("Сделки.csv", b"1;2", "text/csv"),
]


@pytest.fixture
def client(office: Office) -> Bitrix24Client:
    assert isinstance(office.client, Bitrix24Client)
    return office.client


def make_product(office: Office, **fields: Any) -> str:
    return str(rest(office, "crm.product.add", fields={"CURRENCY_ID": "RUB", **fields}))


class TestCatalogue:
    def test_goods_come_with_price_unit_and_vat(self, office: Office, client: Bitrix24Client) -> None:
        with_vat = make_product(
            office, NAME="Кофе", PRICE="1220", VAT_ID=4, VAT_INCLUDED="Y", MEASURE=1, CODE="KF-1"
        )
        without = make_product(office, NAME="Чай", PRICE="99.99", VAT_ID=2, VAT_INCLUDED="N")
        hidden = make_product(office, NAME="Снято", PRICE="1", ACTIVE="N")
        free = make_product(office, NAME="Замер")
        found = {one.id: one for one in client.products()}
        assert found[with_vat] == Product(
            with_vat, "Кофе", Decimal("1220.00"), "RUB", unit="шт", sku="KF-1", vat_rate=Decimal("22.00")
        )
        # 99.99 and 10 %, to the kopeck.
        assert (found[without].price, found[without].vat_rate) == (Decimal("109.99"), Decimal("10.00"))
        assert (found[free].price, found[free].vat_rate) == (None, None)
        assert hidden not in found

    def test_a_long_catalogue_is_read_whole(self, office: Office, client: Bitrix24Client) -> None:
        made = {make_product(office, NAME=f"Товар {number}", PRICE="1") for number in range(120)}
        assert made <= {one.id for one in client.products()}


class TestReports:
    def test_files_of_a_report_lie_on_the_persons_drive_once(
        self, office: Office, client: Bitrix24Client, since: datetime
    ) -> None:
        ask: dict[str, Any] = {"to_user_id": office.user_id, "files": FILES, "since": since}
        first = client.post_report("Продажи за день", "Итого: 3", **ask)
        assert client.post_report("Продажи за день", "Итого: 3", may_exist=True, **ask) == first
        names = sorted(name for _, name in office.sandbox.bitrix24.site.disk_names.values())
        assert names == sorted(file.name for file in FILES)
        [message] = [notice.text for notice in office.portal.notices.values() if notice.id == int(first)]
        assert all(f"]{file.name}[/URL]" in message for file in FILES)
        assert "auth=" not in message

    def test_files_of_an_attempt_that_broke_off_are_not_stored_again(
        self, office: Office, client: Bitrix24Client, since: datetime
    ) -> None:
        ask: dict[str, Any] = {"to_user_id": office.user_id, "files": FILES, "since": since}
        before = len(office.portal.files)
        office.sandbox.faults.fail_next(9, 502, "<h1>502</h1>", "text/html", path_part="im.message.add")
        with pytest.raises(CrmError):
            client.post_report("Отчёт, который не дошёл", "Итого: 0", **ask)
        stored = len(office.portal.files)
        office.sandbox.faults.reset()
        office.sandbox.faults.limits_on = False
        client.post_report("Отчёт, который не дошёл", "Итого: 0", may_exist=True, **ask)
        assert stored - before == len(FILES)
        assert len(office.portal.files) == stored

    def test_a_report_may_go_into_the_live_feed_of_a_department(
        self, office: Office, client: Bitrix24Client, since: datetime
    ) -> None:
        ask: dict[str, Any] = {"to_user_id": "DR3", "files": FILES, "since": since}
        first = client.post_report("Неделя отдела", "Итого: 12", **ask)
        assert client.post_report("Неделя отдела", "Итого: 12", may_exist=True, **ask) == first
        later = {**ask, "since": since + timedelta(days=7)}
        assert client.post_report("Неделя отдела", "Итого: 12", may_exist=True, **later) != first
        post = office.sandbox.bitrix24.site.posts[int(first)]
        assert (post["TITLE"], post["DETAIL_TEXT"], post["_TO"]) == ("Неделя отдела", "Итого: 12", "DR3")
        assert len(post["_FILES"].split()) == len(FILES)

    def test_a_person_who_has_no_drive_gets_the_names_of_the_files(
        self, client: Bitrix24Client, since: datetime
    ) -> None:
        assert disk.put(client._api, "987654321", FILES, may_exist=False, since=since) is None


class TestAutomation:
    def test_a_business_process_is_started_on_the_deal(self, office: Office, client: Bitrix24Client) -> None:
        deal = fresh_deal(office)
        assert client.start_automation("11", str(deal.id))
        assert (11, deal.id) in office.sandbox.bitrix24.site.workflows.values()

    def test_a_template_that_is_not_there_is_refused(self, office: Office, client: Bitrix24Client) -> None:
        deal = fresh_deal(office)
        with pytest.raises(CrmError) as caught:
            client.start_automation("987654", str(deal.id))
        assert (caught.value.kind, caught.value.call) == ("rejected", "bizproc.workflow.start")

    def test_a_start_whose_answer_got_lost_is_not_repeated_by_itself(
        self, office: Office, client: Bitrix24Client
    ) -> None:
        deal = fresh_deal(office)
        office.sandbox.faults.fail_next(
            1, 502, "<h1>502</h1>", "text/html", path_part="bizproc.workflow.start", after_commit=True
        )
        with pytest.raises(CrmError):
            client.start_automation("12", str(deal.id))
        started = [one for one in office.sandbox.bitrix24.site.workflows.values() if one == (12, deal.id)]
        assert started == [(12, deal.id)]


def test_custom_fields_are_told_in_our_words(office: Office, client: Bitrix24Client) -> None:
    made = {
        "UF_CRM_KIND_LIST": ("enumeration", "Y", "Способ доставки"),
        "UF_CRM_KIND_DATE": ("date", "N", "День отгрузки"),
        "UF_CRM_KIND_WHO": ("employee", "N", "Инженер"),
        "UF_CRM_KIND_BLOCK": ("iblock_element", "N", "Склад"),
    }
    for code, (kind, multiple, label) in made.items():
        office.sandbox.bitrix24.site.own_user_fields[code] = {
            "ENTITY": "deal",
            "USER_TYPE_ID": kind,
            "MULTIPLE": multiple,
            "LABEL": label,
            "LIST": [{"ID": 5, "VALUE": "Курьер"}] if kind == "enumeration" else [],
        }
    found = {one.id: one for one in client.custom_fields("deal")}
    kinds = {code: (found[code].kind, found[code].name) for code in made}
    assert kinds == {
        "UF_CRM_KIND_LIST": ("choices", "Способ доставки"),
        "UF_CRM_KIND_DATE": ("date", "День отгрузки"),
        "UF_CRM_KIND_WHO": ("person", "Инженер"),
        "UF_CRM_KIND_BLOCK": ("other", "Склад"),
    }
    assert found["UF_CRM_KIND_LIST"].options == {"5": "Курьер"}
    for entity in ("contact", "company"):
        assert {one.entity for one in client.custom_fields(entity)} <= {entity}
