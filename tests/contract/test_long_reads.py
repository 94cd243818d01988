"""Long reads, several requests at once, while the office goes on working: nothing is missed, nothing comes
twice, and what comes is what a reading of one after another would give."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

import pytest

from connector.crm.amocrm import creation, walks
from connector.crm.bitrix24 import history, listing
from connector.sandbox.state import Deal as PortalDeal
from tests.contract.office import Office, fresh_deal, some_deals


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So short that the sandbox's year is a long list."""
    monkeypatch.setattr(creation, "PAGE", 40)
    monkeypatch.setattr(listing, "LONGEST_CHAIN", 3)
    monkeypatch.setattr(listing, "FIRST_CHAIN", 2)


def living(office: Office) -> list[PortalDeal]:
    return [deal for deal in office.portal.deals.values() if not deal.is_deleted]


class Bustle:
    """People who change, delete and add deals while these are read."""

    def __init__(self, office: Office, seed: int) -> None:
        self._office = office
        self._random = random.Random(seed)
        self.gone: set[str] = set()
        self.added: set[str] = set()

    def stir(self) -> None:
        portal = self._office.portal
        deal = self._random.choice(living(self._office))
        action = self._random.random()
        if action < 0.3:
            portal.delete_deal(deal.id, by=2)
            self.gone.add(str(deal.id))
        elif action < 0.9:
            portal.update_deal(deal.id, {"name": f"{deal.name}!"}, by=2)
        else:
            self.added.add(str(fresh_deal(self._office).id))


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_missed_while_deals_change_vanish_and_appear(
    office: Office, pages: None, seed: int
) -> None:
    before = {str(deal.id) for deal in living(office)}
    bustle = Bustle(office, seed)
    found = []
    for deal in office.client.deals():
        found.append(deal.id)
        if len(found) % 5 == 0:
            bustle.stir()
    assert len(bustle.gone) > 10
    assert len(found) == len(set(found))
    assert before - bustle.gone <= set(found) <= before | bustle.added


def test_deals_come_oldest_first_as_one_after_another(office: Office, pages: None) -> None:
    found = [deal.id for deal in office.client.deals()]
    expected = sorted(
        living(office),
        key=lambda deal: deal.created_at.replace(microsecond=0) if office.crm == "amocrm" else deal.id,
    )
    if office.crm == "amocrm":  # deals of one second have no order
        created = {str(deal.id): deal.created_at.replace(microsecond=0) for deal in expected}
        assert [created[one] for one in found] == sorted(created[one] for one in found)
        assert sorted(found) == sorted(created)
    else:
        assert found == [str(deal.id) for deal in expected]


@pytest.mark.parametrize("office", ["amocrm"], indirect=True)
@pytest.mark.parametrize("spread", [timedelta(0), timedelta(seconds=1), timedelta(hours=1)])
def test_an_import_within_moments_is_read_whole(office: Office, pages: None, spread: timedelta) -> None:
    moment = office.portal.now() - timedelta(days=3, hours=5)
    added = []
    for number in range(130):
        deal = fresh_deal(office)
        deal.created_at = moment + spread * number / 130
        added.append(str(deal.id))
    found = [deal.id for deal in office.client.deals()]
    assert len(found) == len(set(found))
    assert set(added) <= set(found)
    assert len(found) == len(living(office))


def test_deals_changed_since_a_moment_are_found_over_many_pages(office: Office, pages: None) -> None:
    since = office.portal.now() - timedelta(days=120)
    found = [deal.id for deal in office.client.deals(since)]
    assert len(found) == len(set(found)) > 100
    assert set(found) == {str(deal.id) for deal in living(office) if deal.updated_at >= since}


def test_deals_come_with_their_contacts_as_their_cards_do(office: Office) -> None:
    chosen = [
        *some_deals(office.portal, lambda deal: len(deal.contact_ids) > 1),
        *some_deals(office.portal, lambda deal: len(deal.contact_ids) == 1),
        *some_deals(office.portal, lambda deal: not deal.contact_ids),
    ]
    deals = [deal for one in chosen if (deal := office.client.deal(str(one.id)))]
    found = list(office.client.contacts_of(deals))
    assert [deal for deal, _ in found] == deals
    for deal, contacts in found:
        assert contacts == office.client.card(deal).contacts


def test_deals_of_a_list_are_like_single_ones(office: Office) -> None:
    listed = list(office.client.deals())
    chosen = [one for place, one in enumerate(listed) if place % 97 == 0 or len(one.contact_ids) > 1]
    assert any(one.fields for one in chosen) and any(one.loss_reason_id for one in chosen)
    assert [office.client.deal(one.id) for one in chosen] == chosen


@pytest.mark.parametrize("office", ["bitrix24"], indirect=True)
def test_a_portal_that_gives_no_parts_of_deals_is_asked_for_whole_ones(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(office.client.deals())
    monkeypatch.setattr(office.sandbox.bitrix24.switches, "named_contacts_are_filled", False)
    assert list(office.client.deals()) == expected


def test_contacts_are_asked_for_in_bulk_and_those_gone_are_left_out(office: Office) -> None:
    deal = some_deals(office.portal, lambda deal: len(deal.contact_ids) == 1)[0]
    deals = list(office.client.deals())
    asked = len(office.limiter.asked)
    office.portal.delete("contact", deal.contact_ids[0], by=2)
    found = {one.id: contacts for one, contacts in office.client.contacts_of(iter(deals))}
    assert list(found) == [one.id for one in deals]
    assert found[str(deal.id)] == ()
    most = {"amocrm": 200, "bitrix24": 2000}[office.crm]
    assert len(office.limiter.asked) - asked <= len(deals) / most * 2 + 3


@pytest.mark.parametrize("office", ["bitrix24"], indirect=True)
@pytest.mark.parametrize("together", [3, 40])
def test_moves_are_whole_however_few_deals_are_remembered(
    office: Office, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    whole = list(office.client.stage_changes())
    asked = len(office.limiter.asked)
    monkeypatch.setattr(history, "MOST_PLACES", 30)
    monkeypatch.setattr(history, "TOGETHER", together)
    assert list(office.client.stage_changes()) == whole
    since = whole[len(whole) // 2].at
    assert list(office.client.stage_changes(since=since)) == [one for one in whole if one.at >= since]
    # A chunk of 500 moves costs two or three requests more, not one for each 50 of them.
    assert len(office.limiter.asked) - asked < len(whole) / 500 * 2 * 4 + 10


def test_a_reader_who_stops_early_leaves_the_rest(office: Office, pages: None) -> None:
    deals: Iterator[object] = office.client.deals()
    next(deals)
    asked = len(office.limiter.asked)
    del deals
    assert len(office.limiter.asked) <= asked + walks.AHEAD
