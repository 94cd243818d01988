"""Payments, invoices, telephony, robot, trigger and tab of a portal, and the simple mode of its CRM."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from connector.config import AccountConfig
from connector.crm.bitrix24 import automation, placements
from connector.crm.bitrix24.api import B24Api
from connector.crm.bitrix24.webhook import ROBOT
from connector.domain import ActivityKind, InvoiceStatus
from connector.errors import CrmError
from connector.sandbox.state import Deal as PortalDeal
from tests.contract.office import Office, PatientClock, fresh_deal
from tests.contract.test_bitrix24_application import HOOK, App, app
from tests.contract.test_incoming import make_lead
from tests.contract.test_past import make_activity, of_deal, rest
from tests.crm.limiter import Turnstile

__all__ = ["app"]

pytestmark = pytest.mark.parametrize("office", ["bitrix24"], indirect=True)


def with_goods(office: Office) -> PortalDeal:
    deal = fresh_deal(office)
    goods = [
        {"productName": "Мешок", "price": 100, "quantity": 3},
        {"productName": "Доставка", "price": 50, "quantity": 1},
    ]
    rest(office, "crm.item.productrow.set", ownerType="D", ownerId=deal.id, productRows=goods)
    return deal


def api_of(app: App) -> B24Api:
    return B24Api(app.account, limiter=Turnstile(), clock=PatientClock(), tokens=app.tokens)


class TestPaymentLink:
    def test_a_deals_goods_have_one_link_however_often_it_is_asked_for(self, office: Office) -> None:
        deal = with_goods(office)
        link = office.client.payment_link(str(deal.id), Decimal(350))
        assert link is not None
        assert link.startswith("http")
        assert office.client.payment_link(str(deal.id), Decimal(350)) == link
        assert len(rest(office, "crm.item.payment.list", entityTypeId=2, entityId=deal.id)) == 1

    def test_a_sum_that_the_goods_do_not_come_to_has_no_link(self, office: Office) -> None:
        deal = with_goods(office)
        assert office.client.payment_link(str(deal.id), Decimal(349)) is None
        assert office.client.payment_link(str(fresh_deal(office).id), Decimal(1000)) is None
        assert rest(office, "crm.item.payment.list", entityTypeId=2, entityId=deal.id) == []

    def test_a_payment_that_was_begun_is_filled(self, office: Office) -> None:
        deal = with_goods(office)
        office.sandbox.faults.fail_next(
            1, 502, "<h1>502</h1>", "text/html", path_part="payment.product.add", after_commit=True
        )
        with pytest.raises(CrmError):
            office.client.payment_link(str(deal.id), Decimal(350))
        assert office.client.payment_link(str(deal.id), Decimal(350)) is not None
        [payment] = rest(office, "crm.item.payment.list", entityTypeId=2, entityId=deal.id)
        assert payment["sum"] == 350


class TestInvoices:
    def test_an_invoice_is_issued_then_paid_by_the_meaning_of_its_stage(
        self, office: Office, since: datetime
    ) -> None:
        deal = fresh_deal(office)
        fields = {
            "title": "Счёт",
            "parentId2": deal.id,
            "opportunity": 700,
            "isManualOpportunity": "Y",
            "assignedById": office.user_id,
        }
        made = rest(office, "crm.item.add", entityTypeId=31, fields=fields)["item"]
        [issued] = [one for one in office.client.invoices() if one.id == str(made["id"])]
        assert (issued.deal_id, issued.amount, issued.status) == (
            str(deal.id),
            Decimal(700),
            InvoiceStatus.ISSUED,
        )
        assert (issued.paid_at, issued.responsible_id) == (None, office.user_id)
        stages = rest(
            office,
            "crm.status.list",
            filter={"ENTITY_ID": f"SMART_INVOICE_STAGE_{made['categoryId']}"},
            order={"SORT": "ASC"},
        )
        for semantics, status in (("F", InvoiceStatus.CANCELLED), ("S", InvoiceStatus.PAID)):
            code = next(stage["STATUS_ID"] for stage in stages if stage["SEMANTICS"] == semantics)
            rest(office, "crm.item.update", entityTypeId=31, id=made["id"], fields={"stageId": code})
            [moved] = [one for one in office.client.invoices() if one.id == issued.id]
            assert moved.status is status
            assert (moved.paid_at is not None) == (status is InvoiceStatus.PAID)
        assert issued.id in {one.id for one in office.client.invoices(since=since - timedelta(seconds=5))}
        assert list(office.client.invoices(since=since + timedelta(days=1))) == []


class TestCalls:
    def test_the_telephony_says_whether_a_call_was_answered_and_how_long_it_took(
        self, app: App, office: Office
    ) -> None:
        deal = fresh_deal(office)
        for kind, status, seconds in ((1, "200", 95), (2, "304", 0)):
            registered = app.call(
                "telephony.externalCall.register",
                USER_ID=int(office.user_id),
                PHONE_NUMBER="+79990007788",
                TYPE=kind,
                CRM_ENTITY_TYPE="DEAL",
                CRM_ENTITY_ID=deal.id,
                EXTERNAL_CALL_ID=f"call-{kind}",
            )
            assert isinstance(registered, dict)
            app.call(
                "telephony.externalCall.finish",
                CALL_ID=registered["CALL_ID"],
                USER_ID=int(office.user_id),
                DURATION=seconds,
                STATUS_CODE=status,
            )
        answered, missed = sorted(
            of_deal(office.client, deal.id, ActivityKind.CALL), key=lambda call: not call.answered
        )
        assert (answered.answered, answered.duration_s, answered.direction) == (True, 95, "out")
        assert (missed.answered, missed.duration_s, missed.direction) == (False, 0, "in")
        # Nobody has dealt with the missed one, and it happened all the same.
        assert None not in (answered.happened_at, missed.happened_at)

    def test_without_the_right_to_statistics_a_call_is_read_all_the_same(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deal = fresh_deal(office)
        make_activity(office, deal.id, 2, COMPLETED="Y", DIRECTION=2)
        office.sandbox.faults.fail_next(
            1,
            401,
            '{"error": "insufficient_scope", "error_description": "x"}',
            "application/json",
            path_part="voximplant.statistic.get",
        )
        for _ in range(2):
            [call] = of_deal(office.client, deal.id, ActivityKind.CALL)
            assert (call.answered, call.duration_s) == (None, None)
            assert call.happened_at is not None


class TestRobotAndTrigger:
    def test_they_are_put_in_once_and_taken_out(self, app: App) -> None:
        api = api_of(app)
        for _ in range(2):
            automation.install(api, HOOK)
            assert app.call("bizproc.robot.list") == [ROBOT]
        triggers = app.call("crm.automation.trigger.list")
        assert isinstance(triggers, list)
        assert [one["CODE"] for one in triggers] == [automation.TRIGGER]
        for _ in range(2):
            automation.uninstall(api)
            assert app.call("bizproc.robot.list") == []

    def test_our_trigger_is_fired_on_a_deal(self, app: App, office: Office) -> None:
        automation.install(api_of(app), HOOK)
        assert app.client().start_automation(automation.TRIGGER, str(fresh_deal(office).id))

    def test_connect_puts_them_in(self, app: App) -> None:
        assert not [step for step in app.client().subscribe(HOOK).manual_steps if "Робот" in step]
        assert app.call("bizproc.robot.list") == [ROBOT]


class TestTab:
    def test_a_tab_opens_the_present_address_alone(self, app: App, office: Office) -> None:
        api = api_of(app)
        for address in ("https://old.example/tab", "https://connector.example/tab"):
            for _ in range(2):
                assert placements.show_tab(api, address)
                rows = app.call("placement.get")
                assert isinstance(rows, list)
                assert [(row["placement"], row["handler"]) for row in rows] == [
                    (placements.DEAL_TAB, address)
                ]
        placements.hide_tab(api)
        assert app.call("placement.get") == []

    def test_a_webhook_has_no_tabs(self, office: Office) -> None:
        told = office.sandbox.describe()["bitrix24"]
        account = AccountConfig("hook", "bitrix24", told["webhook_url"].rstrip("/"))
        api = B24Api(account, limiter=Turnstile(), clock=PatientClock())
        assert placements.show_tab(api, HOOK) is False
        placements.hide_tab(api)


class TestLeads:
    def test_goods_of_a_lead_become_the_deals(self, office: Office) -> None:
        number = make_lead(office, phone="+79990009900")
        goods = [{"productName": "Мешок", "price": 100, "quantity": 3}]
        rest(office, "crm.item.productrow.set", ownerType="L", ownerId=int(number), productRows=goods)
        deal_id = ""
        for _ in range(2):
            deal_id = office.client.accept_incoming(number, responsible_id=None, stage_id=None)
        deal = office.client.deal(deal_id)
        assert deal is not None
        rows = office.client.card(deal).rows
        assert [(row.name, row.price, row.quantity) for row in rows] == [("Мешок", Decimal(100), Decimal(3))]

    def test_a_simple_crm_has_no_leads(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        number = make_lead(office)
        monkeypatch.setattr(office.sandbox.bitrix24.switches, "simple_crm", True)
        assert list(office.client.incoming()) == []
        office.client.decline_incoming(number)
        with pytest.raises(CrmError, match="NO_LEADS"):
            office.client.accept_incoming(number, responsible_id=None, stage_id=None)
