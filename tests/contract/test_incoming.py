"""Enquiries that nobody has taken yet: listed, made deals of, turned down; each once."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from connector.crm.base import IncomingLeads
from connector.errors import CrmError
from tests.contract.office import Office
from tests.contract.test_past import rest

bitrix24_only = pytest.mark.parametrize("office", ["bitrix24"], indirect=True)


@pytest.fixture
def leads(office: Office) -> IncomingLeads:
    return office.client


def make_lead(office: Office, phone: str = "+79990001122", **more: object) -> str:
    fields = {
        "title": "Заявка с сайта",
        "name": "Пётр",
        "lastName": "Смолин",
        "sourceId": "WEBFORM",
        "opportunity": 5000,
        "comments": "Нужны 20 мешков",
        "utmSource": "direct",
        "fm": [{"typeId": "PHONE", "valueType": "WORK", "value": phone}],
        **more,
    }
    return str(rest(office, "crm.item.add", entityTypeId=1, fields=fields)["item"]["id"])


@bitrix24_only
class TestIncoming:
    def test_what_waits_is_listed(self, office: Office, leads: IncomingLeads, since: datetime) -> None:
        number = make_lead(office)
        taken = make_lead(office, stageId="IN_PROCESS")
        found = {lead.id: lead for lead in leads.incoming()}
        assert taken not in found
        lead = found[number]
        assert (lead.kind, lead.name, lead.phones) == ("form", "Пётр Смолин", ("+79990001122",))
        assert "Нужны 20 мешков" in lead.text
        assert lead.deal_id is None
        assert number in {one.id for one in leads.incoming(since=since - timedelta(seconds=5))}
        assert list(leads.incoming(since=since + timedelta(days=1))) == []

    def test_a_lead_becomes_a_deal_once(self, office: Office, leads: IncomingLeads) -> None:
        number = make_lead(office, phone="+79990002233")
        pipeline = next(p for p in office.portal.pipelines.values() if not p.is_main)
        stage = pipeline.stages[1].code
        deal_id = leads.accept_incoming(number, responsible_id=office.user_id, stage_id=stage)
        deal = office.client.deal(deal_id)
        assert deal is not None
        assert (deal.pipeline_id, deal.stage_id) == (str(pipeline.id), stage)
        assert (deal.name, deal.amount, deal.responsible_id) == (
            "Заявка с сайта",
            Decimal(5000),
            office.user_id,
        )
        assert deal.utm_source == "direct"
        contact = office.client.card(deal).main_contact
        assert contact is not None
        assert (contact.name, contact.phones) == ("Пётр Смолин", ("+79990002233",))
        before = len(office.portal.deals), len(office.portal.contacts)
        assert leads.accept_incoming(number, responsible_id=None, stage_id=None) == deal_id
        assert (len(office.portal.deals), len(office.portal.contacts)) == before
        assert number not in {lead.id for lead in leads.incoming()}

    def test_an_attempt_that_broke_off_is_taken_up_again(self, office: Office, leads: IncomingLeads) -> None:
        number = make_lead(office, phone="+79990003344", companyTitle="ООО «Зерно»")
        before = len(office.portal.deals), len(office.portal.contacts), len(office.portal.companies)
        office.client.pipelines()
        office.sandbox.faults.fail_next(
            1, 502, "<h1>502</h1>", "text/html", path_part="crm.item.update", method="POST"
        )
        with pytest.raises(CrmError):
            # Every repeat within the call is refused too.
            office.sandbox.faults.fail_next(
                9, 502, "<h1>502</h1>", "text/html", path_part="crm.item.update", method="POST"
            )
            leads.accept_incoming(number, responsible_id=None, stage_id=None)
        office.sandbox.faults.reset()
        office.sandbox.faults.limits_on = False
        deal_id = leads.accept_incoming(number, responsible_id=None, stage_id=None)
        after = len(office.portal.deals), len(office.portal.contacts), len(office.portal.companies)
        assert [one - other for one, other in zip(after, before, strict=True)] == [1, 1, 1]
        deal = office.client.deal(deal_id)
        assert deal is not None
        company = office.client.card(deal).company
        assert company is not None
        assert company.name == "ООО «Зерно»"

    def test_a_client_that_is_known_is_not_doubled(self, office: Office, leads: IncomingLeads) -> None:
        known = next(contact for contact in office.portal.contacts.values() if contact.phones)
        number = make_lead(office, phone=known.phones[0])
        before = len(office.portal.contacts)
        deal = office.client.deal(leads.accept_incoming(number, responsible_id=None, stage_id=None))
        assert deal is not None
        assert len(office.portal.contacts) == before
        phones = {phone for one in deal.contact_ids for phone in office.portal.contacts[int(one)].phones}
        assert known.phones[0] in phones

    def test_a_lead_is_turned_down_and_then_cannot_be_taken(
        self, office: Office, leads: IncomingLeads
    ) -> None:
        number = make_lead(office)
        leads.decline_incoming(number)
        leads.decline_incoming(number)
        leads.decline_incoming("987654321")
        assert number not in {lead.id for lead in leads.incoming()}
        item = rest(office, "crm.item.get", entityTypeId=1, id=int(number))["item"]
        assert item["stageSemanticId"] == "F"
        with pytest.raises(CrmError) as caught:
            leads.accept_incoming(number, responsible_id=None, stage_id=None)
        assert caught.value.kind == "rejected"

    def test_one_that_is_a_deal_stays_one_when_it_is_turned_down(
        self, office: Office, leads: IncomingLeads
    ) -> None:
        number = make_lead(office)
        deal_id = leads.accept_incoming(number, responsible_id=None, stage_id=None)
        leads.decline_incoming(number)
        assert leads.accept_incoming(number, responsible_id=None, stage_id=None) == deal_id

    def test_one_that_does_not_exist_is_not_found(self, leads: IncomingLeads) -> None:
        with pytest.raises(CrmError) as caught:
            leads.accept_incoming("987654321", responsible_id=None, stage_id=None)
        assert caught.value.kind == "not_found"

    def test_a_stage_that_does_not_exist_makes_nothing(self, office: Office, leads: IncomingLeads) -> None:
        number = make_lead(office, phone="+79990005566")
        before = len(office.portal.deals), len(office.portal.contacts)
        with pytest.raises(CrmError, match="UNKNOWN_STAGE"):
            leads.accept_incoming(number, responsible_id=None, stage_id="C77:NOWHERE")
        assert (len(office.portal.deals), len(office.portal.contacts)) == before
