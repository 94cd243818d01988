"""What a portal does for its application alone: handlers, the offline queue, robot and trigger."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from connector.config import AccountConfig
from connector.crm.bitrix24.api import B24Api
from connector.crm.bitrix24.client import Bitrix24Client
from connector.crm.bitrix24.subscription import APP_EVENTS
from connector.crm.tokens import Authorization, FixedToken
from connector.crm.wild import Wild
from connector.domain import DealChanges, EventKind
from connector.errors import CrmError
from tests.contract.office import Office, PatientClock, fresh_deal
from tests.crm.limiter import Turnstile

HOOK = "https://connector.example/hooks/bitrix24/main/hush"
STALE = "https://old.example/hooks/bitrix24/main/hush"

pytestmark = pytest.mark.parametrize("office", ["bitrix24"], indirect=True)


@dataclass
class App:
    """Clients of the portal's application, and its REST as the application sees it."""

    office: Office
    account: AccountConfig
    tokens: FixedToken

    def client(self) -> Bitrix24Client:
        return Bitrix24Client(self.account, limiter=Turnstile(), clock=PatientClock(), tokens=self.tokens)

    def call(self, method: str, **params: object) -> object:
        api = B24Api(self.account, limiter=Turnstile(), clock=PatientClock(), tokens=self.tokens)
        return api.call(method, params, lambda result: result.value)

    def handlers(self) -> list[tuple[str, str]]:
        rows = Wild(self.call("event.get"))
        return sorted((row["event"].text(), row.text_at("handler")) for row in rows.each())


@pytest.fixture
def app(office: Office) -> App:
    told = office.sandbox.describe()["bitrix24"]
    base = told["webhook_url"].partition("/rest/")[0] + "/rest"
    made = App(
        office,
        AccountConfig("bitrix24-app", "bitrix24", base),
        FixedToken(Authorization(told["oauth_token"], base)),
    )
    for event, handler in filter(lambda pair: pair[1], made.handlers()):
        made.call("event.unbind", event=event, handler=handler)
    for source in ("", "connector"):
        for event in APP_EVENTS:
            made.call("event.unbind", event=event, event_type="offline", auth_connector=source)
    return made


def drain(client: Bitrix24Client) -> list[tuple[EventKind, str]]:
    found = []
    while (batch := client.queued_events()) is not None:
        found += [(event.kind, event.entity_id) for event in batch.events]
        client.confirm_events(batch)
    return found


class TestSubscription:
    def test_handlers_are_bound_once_and_old_addresses_unbound(self, app: App) -> None:
        client = app.client()
        app.call("event.bind", event="ONCRMDEALADD", handler=STALE)
        assert client.is_subscribed(HOOK) is False
        first = client.subscribe(HOOK)
        assert (first.created, first.destination) == (True, HOOK)
        online = [(event, handler) for event, handler in app.handlers() if handler]
        assert online == sorted((event, HOOK) for event in APP_EVENTS)
        assert client.is_subscribed(HOOK) is True
        assert client.is_subscribed(STALE) is False
        before = app.handlers()
        assert not client.subscribe(HOOK).created
        assert app.handlers() == before

    def test_a_webhook_can_neither_subscribe_nor_ask(self, office: Office) -> None:
        client = office.client
        assert isinstance(client, Bitrix24Client)
        assert client.is_subscribed(HOOK) is None
        assert client.queued_events() is None
        steps = client.subscribe(HOOK).manual_steps
        assert any(HOOK in step for step in steps)
        assert any("Очередь событий" in step for step in steps)


class TestQueue:
    def test_what_happened_waits_until_it_is_confirmed(self, app: App, office: Office) -> None:
        client = app.client()
        client.subscribe(HOOK)
        drain(client)
        deal = fresh_deal(office)
        batch = client.queued_events()
        assert batch is not None
        assert [(event.kind, event.entity_id) for event in batch.events] == [
            (EventKind.DEAL_ADDED, str(deal.id))
        ]
        # Reserved: nobody else gets it, and it is not gone.
        assert client.queued_events() is None
        again = app.client().queued_events()
        assert again == batch
        client.confirm_events(batch)
        assert app.client().queued_events() is None

    def test_many_changes_of_a_deal_are_one_event(self, app: App, office: Office) -> None:
        client = app.client()
        client.subscribe(HOOK)
        deal = fresh_deal(office)
        drain(client)
        for amount in range(5):
            office.portal.update_deal(deal.id, {"amount": amount + 1}, by=int(office.user_id))
        assert drain(client) == [(EventKind.DEAL_CHANGED, str(deal.id))]

    def test_our_own_changes_do_not_come_back(self, app: App, office: Office) -> None:
        client = app.client()
        client.subscribe(HOOK)
        deal = fresh_deal(office)
        drain(client)
        assert client.update_deal(str(deal.id), DealChanges(name="Наша правка"))
        assert drain(client) == []
        office.portal.update_deal(deal.id, {"name": "Правка человека"}, by=int(office.user_id))
        assert drain(client) == [(EventKind.DEAL_CHANGED, str(deal.id))]

    def test_a_plan_without_reservation_gives_each_event_once(
        self, app: App, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(office.sandbox.bitrix24.switches, "offline_extended", False)
        client = app.client()
        client.subscribe(HOOK)
        drain(client)
        deal = fresh_deal(office)
        batch = client.queued_events()
        assert batch is not None
        assert (batch.id, batch.events[0].entity_id) == ("", str(deal.id))
        client.confirm_events(batch)
        assert client.queued_events() is None

    def test_a_token_without_rights_has_no_queue(
        self, app: App, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner = int(app.client().account_info().user_id)
        monkeypatch.setattr(office.portal.users[owner], "is_admin", False)
        client = app.client()
        assert client.queued_events() is None
        assert any("администратор" in step for step in client.subscribe(HOOK).manual_steps)


def test_an_error_inside_a_batch_names_its_own_call(app: App) -> None:
    api = B24Api(app.account, limiter=Turnstile(), clock=PatientClock(), tokens=app.tokens)
    answers = api.batch(
        {"good": ("profile", {}), "bad": ("crm.item.get", {"entityTypeId": 2, "id": 987654321})}
    )
    assert answers.read("good", lambda result: result["ID"].id())
    with pytest.raises(CrmError) as caught:
        answers.read("bad", lambda result: result)
    assert (caught.value.kind, caught.value.call) == ("not_found", "crm.item.get")
