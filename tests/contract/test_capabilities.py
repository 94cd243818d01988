"""What every client answers, whatever its CRM has: nothing, None or False where it has it not."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from connector.domain import EventKind
from connector.errors import CrmError
from tests.contract.office import Office, fresh_deal

HOOK = "https://connector.example/hooks/crm/main/secret-0000000001"

KINDS = {
    *("text", "number", "flag", "date", "moment", "choice", "choices", "url", "money", "file", "person"),
    "other",
}


@pytest.mark.parametrize("entity", ["deal", "contact", "company"])
def test_fields_that_the_company_added_are_told_in_our_words(office: Office, entity: str) -> None:
    fields = office.client.custom_fields(entity)
    assert {field.entity for field in fields} <= {entity}
    assert {field.kind for field in fields} <= KINDS
    assert len({field.id for field in fields}) == len(fields)
    assert all(field.name for field in fields)


def test_the_catalogue_has_a_name_and_a_currency_for_each_product(office: Office) -> None:
    for product in office.client.products():
        assert product.name
        assert product.currency == office.portal.currency
        assert product.price is None or product.price >= 0


def test_no_invoices_were_made_in_the_future(office: Office) -> None:
    assert list(office.client.invoices(since=office.portal.now() + timedelta(days=1))) == []


def test_the_log_tells_of_deals_or_nothing_and_says_it_twice_alike(office: Office, since: datetime) -> None:
    deal = fresh_deal(office)
    told = list(office.client.told_since(since - timedelta(seconds=1)))
    assert told == list(office.client.told_since(since - timedelta(seconds=1)))
    kinds = [event.kind for event in told if event.entity_id == str(deal.id)]
    assert kinds == {"amocrm": [EventKind.DEAL_ADDED], "bitrix24": []}[office.crm]


def test_no_events_wait_where_the_crm_keeps_none(office: Office) -> None:
    assert office.client.queued_events() is None


def test_there_is_no_address_for_paying_what_was_not_billed(office: Office) -> None:
    assert office.client.payment_link(str(fresh_deal(office).id), Decimal(900)) is None


def test_an_automation_that_does_not_exist_is_not_started(office: Office) -> None:
    with pytest.raises(CrmError) as caught:
        office.client.start_automation("987654321", str(fresh_deal(office).id))
    assert caught.value.kind == "rejected"


def test_a_webhook_that_nobody_made_is_not_called_ours(office: Office) -> None:
    assert office.client.is_subscribed(HOOK) in (False, None)
    office.client.subscribe(HOOK)
    assert office.client.is_subscribed(HOOK) is {"amocrm": True, "bitrix24": None}[office.crm]
