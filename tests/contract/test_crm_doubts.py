"""Behaviour that the CRMs' documentation leaves open or calls contradictory: the clients bear either way."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from connector.crm.amocrm import walks
from connector.errors import CrmError, RetryLater
from tests.contract.office import Office, fresh_deal, some_deals

amocrm_only = pytest.mark.parametrize("office", ["amocrm"], indirect=True)
bitrix24_only = pytest.mark.parametrize("office", ["bitrix24"], indirect=True)


@amocrm_only
def test_without_the_paid_filter_deals_are_found_by_walking_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office.sandbox.amocrm.world.switches, "filters_paid", False)
    moment = office.portal.now() - timedelta(days=20)
    listed = [deal.id for deal in office.client.deals(moment)]
    changed = {
        str(deal.id)
        for deal in office.portal.deals.values()
        if deal.updated_at >= moment and not deal.is_deleted
    }
    assert sorted(listed) == sorted(changed)
    deal = some_deals(office.portal, lambda d: len(d.contact_ids) > 0 and d.rows)[0]
    found = office.client.deal(str(deal.id))
    assert found is not None
    assert office.client.card(found).rows


@amocrm_only
def test_a_deal_in_the_trash_may_still_be_readable(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office.sandbox.amocrm.world.switches, "deleted_is_readable", True)
    deal = fresh_deal(office)
    office.portal.delete_deal(deal.id, by=2)
    found = office.client.deal(str(deal.id))
    assert found is not None
    assert found.is_deleted


@bitrix24_only
def test_history_of_the_present_pipeline_alone_is_no_false_creation(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office.sandbox.bitrix24.switches, "history_of_current_pipeline_only", True)
    deal = fresh_deal(office)
    other = next(p for p in office.portal.pipelines.values() if p.id != deal.pipeline_id)
    office.portal.update_deal(deal.id, {"pipeline_id": other.id, "stage": other.stages[0].code}, by=2)
    changes = list(office.client.stage_changes(deal_id=str(deal.id)))
    assert [(c.to_pipeline_id, c.to_stage_id) for c in changes] == [(str(other.id), other.stages[0].code)]
    assert changes[0].from_stage_id is not None


@bitrix24_only
def test_a_method_out_of_execution_time_waits_until_it_is_free(
    office: Office, monkeypatch: pytest.MonkeyPatch, since: datetime
) -> None:
    office.sandbox.faults.limits_on = True
    monkeypatch.setitem(office.sandbox.bitrix24.switches.method_cost_s, "crm.item.get", 479.0)
    with pytest.raises((RetryLater, CrmError)) as caught:
        for _ in range(4):
            office.client.deal("987654321")
            office.client.deal(str(fresh_deal(office).id))
    wait = caught.value.wait if isinstance(caught.value, RetryLater) else caught.value.retry_after
    assert wait is not None
    assert timedelta(seconds=60) < wait <= timedelta(seconds=602)
    assert office.client.pipelines()


@bitrix24_only
@pytest.mark.parametrize("text", ["", "0", "$result[page0][items][49][id]"])
def test_whatever_a_reference_to_nothing_becomes_a_long_list_ends_where_it_ends(
    office: Office, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(office.sandbox.bitrix24.switches, "unresolved_reference", text)
    listed = [deal.id for deal in office.client.deals()]
    assert sorted(listed, key=int) == listed
    assert set(listed) == {str(deal.id) for deal in office.portal.deals.values() if not deal.is_deleted}
    moves = [change.event_id for change in office.client.stage_changes()]
    assert len(moves) > len(listed)
    assert sorted(set(moves)) == moves


@amocrm_only
def test_however_long_the_spans_are_every_move_comes_once_and_in_order(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = office.portal.now() - timedelta(days=21)
    as_usual = list(office.client.stage_changes(since=start))
    assert len(as_usual) > 150
    assert as_usual == sorted(as_usual, key=lambda change: (change.at, change.event_id))
    for few, many in ((10, 20), (10**6, 10**6)):
        monkeypatch.setattr(walks, "FEW_ROWS", few)
        monkeypatch.setattr(walks, "MANY_ROWS", many)
        assert list(office.client.stage_changes(since=start)) == as_usual
