"""amoCRM as a `CrmClient`. Knows which module answers a question, and nothing else: see the table of modules
in the README beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm.amocrm.account import Account
from connector.crm.amocrm.activities import Activities
from connector.crm.amocrm.api import IDS_PER_ADDRESS, AmoApi
from connector.crm.amocrm.bots import start_bot
from connector.crm.amocrm.cards import Cards
from connector.crm.amocrm.deals import Deals
from connector.crm.amocrm.directory import SetUp, Source
from connector.crm.amocrm.enquiries import Enquiries, Summary
from connector.crm.amocrm.event_log import EventLog
from connector.crm.amocrm.files import FileStore
from connector.crm.amocrm.history import WITH_PRODUCTS, History
from connector.crm.amocrm.invoices import Invoices
from connector.crm.amocrm.links import Links
from connector.crm.amocrm.readings import Readings
from connector.crm.amocrm.subscription import is_subscribed, subscribe
from connector.crm.amocrm.tasks import Tasks
from connector.crm.amocrm.timeline import Timeline
from connector.crm.amocrm.walks import AHEAD
from connector.crm.amocrm.wire import Wire, loss_reason, pipeline, user
from connector.crm.base import EventBatch, Subscription
from connector.crm.bulk import DealWithContacts, with_contacts
from connector.crm.http import MAX_TURN_WAIT, RateLimiter
from connector.crm.tokens import TokenSource
from connector.crm.wild import Wild
from connector.domain import (
    AccountInfo,
    Activity,
    Contact,
    CrmEvent,
    CrmFile,
    CrmInvoice,
    CrmTask,
    CustomField,
    Deal,
    DealCard,
    DealChanges,
    DealMark,
    Deletion,
    IncomingLead,
    LossReason,
    Pipeline,
    Product,
    StageChange,
    User,
)
from connector.errors import CrmError


class AmoCrmClient:
    """One account of amoCRM. Safe to share between threads."""

    def __init__(
        self,
        account: AccountConfig,
        *,
        limiter: RateLimiter,
        clock: Clock,
        patience: timedelta = MAX_TURN_WAIT,
        tokens: TokenSource | None = None,
    ) -> None:
        self.account = account.name
        self._clock = clock
        self._api = AmoApi(account, limiter=limiter, clock=clock, patience=patience, tokens=tokens)
        self._readings = Readings()
        self._account = Account(self._api, clock)
        self._set_up = SetUp(self._api, clock)
        self._log = EventLog(self._api, clock)
        self._tasks = Tasks(self._api, self._log, clock)
        self._enquiries = Enquiries(self._api)
        self.links = Links(self._api)

    def account_info(self) -> AccountInfo:
        return self._account.info()

    def pipelines(self) -> list[Pipeline]:
        return list(self._api.pages("leads/pipelines", "pipelines", pipeline))

    def users(self) -> list[User]:
        """All users. An external integration may not read them: CrmError, kind config."""
        try:
            return list(self._api.pages("users", "users", user, [("with", "group")]))
        except CrmError as error:
            if error.kind != "config":
                raise
            raise CrmError(
                "config",
                account=self.account,
                call=error.call,
                code=error.code,
                status=error.status,
                detail="users need a private integration and an administrator's token",
            ) from error

    def loss_reasons(self) -> list[LossReason]:
        return list(self._api.pages("leads/loss_reasons", "loss_reasons", loss_reason))

    def deal(self, deal_id: str) -> Deal | None:
        reader = self._wire()
        return self._api.one(
            f"leads/{deal_id}", lambda lead: self._readings.keep(reader.deal(lead), lead), [WITH_PRODUCTS]
        )

    def card(self, deal: Deal) -> DealCard:
        """The deal with what hangs on it.

        A deal that `deal` gave lately is not asked for again; any other is, and the card is of that reading.
        """
        lead = self._readings.of(deal)
        if lead is None:
            deal = self.deal(deal.id) or deal
            lead = self._readings.of(deal) or Wild({})
        cards = Cards(self._api, self._wire(), filterable=self._account.settings().is_filterable)
        return cards.card(deal, lead)

    def deals(
        self, updated_since: datetime | None = None, *, after: DealMark | None = None
    ) -> Iterator[Deal]:
        return self._history().deals(updated_since, after)

    def deal_count(self) -> int:
        return self._history().deal_count()

    def contacts_of(self, deals: Iterable[Deal]) -> Iterator[DealWithContacts]:
        """Where the account may not filter, contacts are read one by one."""
        settings, read = self._account.settings(), self._wire().contact

        def found(ids: Sequence[str]) -> list[Contact]:
            return self._api.by_ids("contacts", "contacts", ids, read, filterable=settings.is_filterable)

        return with_contacts(deals, found, at_once=IDS_PER_ADDRESS, ahead=AHEAD)

    def stage_changes(
        self, *, deal_id: str | None = None, since: datetime | None = None
    ) -> Iterator[StageChange]:
        history = self._history()
        return history.stage_changes(since) if deal_id is None else history.stage_changes_of(deal_id, since)

    def deals_of(self, *, contact_id: str | None = None, company_id: str | None = None) -> list[str]:
        paths = [
            f"{entity}/{entity_id}"
            for entity, entity_id in (("contacts", contact_id), ("companies", company_id))
            if entity_id is not None
        ]
        found: dict[str, None] = {}
        for path in paths:
            found.update(dict.fromkeys(self._api.one(path, _deal_ids, [("with", "leads")]) or []))
        return list(found)

    def add_note(
        self,
        deal_id: str,
        text: str,
        *,
        files: Sequence[CrmFile] = (),
        may_exist: bool = False,
        since: datetime,
    ) -> str:
        return self._timeline().add_note(deal_id, text, files, may_exist=may_exist, since=since)

    def add_task(
        self,
        deal_id: str | None,
        text: str,
        *,
        responsible_id: str | None,
        due_at: datetime,
        may_exist: bool = False,
        since: datetime,
    ) -> str:
        return self._timeline().add_task(
            deal_id,
            text,
            responsible_id=responsible_id,
            due_at=due_at,
            may_exist=may_exist,
            since=since,
        )

    def task_answer(self, task_id: str) -> str | None:
        return self._timeline().task_answer(task_id)

    def complete_task(self, task_id: str, result: str) -> None:
        self._timeline().complete_task(task_id, result)

    def post_report(
        self,
        title: str,
        text: str,
        *,
        to_user_id: str,
        files: Sequence[CrmFile] = (),
        may_exist: bool = False,
        since: datetime,
    ) -> str:
        return self._timeline().post_report(
            title, text, to_user_id=to_user_id, files=files, may_exist=may_exist, since=since
        )

    def custom_fields(self, entity: str) -> list[CustomField]:
        return self._set_up.custom_fields(entity)

    def products(self) -> Iterator[Product]:
        return self._set_up.products(self._account.settings().currency)

    def activities(
        self, *, since: datetime | None = None, deal_id: str | None = None, brief: bool = False
    ) -> Iterator[Activity]:
        activities = self._activities(notes=not brief)
        return activities.changed(since) if deal_id is None else activities.of_deal(deal_id, since)

    def existing_activities(self, ids: Sequence[str]) -> set[str]:
        return self._activities().existing(ids)

    def tasks(self, *, since: datetime | None = None, deal_id: str | None = None) -> Iterator[CrmTask]:
        return self._tasks.of_deals(since, deal_id, self._account.settings().meeting_types)

    def invoices(self, *, since: datetime | None = None) -> Iterator[CrmInvoice]:
        return self._invoices().changed(since)

    def deletions(self, *, since: datetime) -> Iterator[Deletion]:
        return self._log.deletions(since, self.existing)

    def existing(self, deal_ids: Sequence[str]) -> set[str]:
        return self._deals().existing(deal_ids)

    def told_since(self, since: datetime) -> Iterator[CrmEvent]:
        return self._log.told_since(since)

    def update_deal(self, deal_id: str, changes: DealChanges) -> bool:
        return self._deals().update(deal_id, changes)

    def incoming(self, *, since: datetime | None = None) -> Iterator[IncomingLead]:
        return self._enquiries.waiting(since)

    def accept_incoming(self, lead_id: str, *, responsible_id: str | None, stage_id: str | None) -> str:
        return self._enquiries.accept(lead_id, responsible_id=responsible_id, stage_id=stage_id)

    def decline_incoming(self, lead_id: str) -> None:
        self._enquiries.decline(lead_id)

    def incoming_summary(self) -> Summary:
        """How many enquiries there were and what became of them."""
        return self._enquiries.summary()

    def sources(self) -> list[Source]:
        """The integration's own sources of deals. CrmError kind config for an external integration."""
        return self._set_up.sources()

    def queued_events(self) -> EventBatch | None:
        """Always None: amoCRM keeps no queue, what webhooks did not tell stands in its log."""
        return None

    def confirm_events(self, batch: EventBatch) -> None:
        """Nothing to confirm: see `queued_events`."""

    def payment_link(self, deal_id: str, amount: Decimal) -> str | None:
        return self._invoices().payment_link(deal_id, amount)

    def start_automation(self, automation_id: str, deal_id: str) -> bool:
        start_bot(self._api, automation_id, deal_id)
        return True

    def show_page(self, address: str) -> bool:
        """False: a tab in a card takes a widget, which is uploaded by hand."""
        return False

    def is_subscribed(self, destination: str) -> bool | None:
        return is_subscribed(self._api, destination)

    def subscribe(self, destination: str) -> Subscription:
        return subscribe(self._api, destination)

    def _wire(self) -> Wire:
        settings = self._account.settings()
        return Wire(self.account, settings.currency, settings.zone)

    def _activities(self, *, notes: bool = True) -> Activities:
        meeting_types = self._account.settings().meeting_types
        return Activities(self._api, self._log, self._tasks, meeting_types, notes=notes)

    def _deals(self) -> Deals:
        settings = self._account.settings()
        return Deals(self._api, self._set_up, settings.zone, filterable=settings.is_filterable)

    def _invoices(self) -> Invoices:
        return Invoices(self._api, self._set_up, self._log, self._account.settings().currency)

    def _history(self) -> History:
        settings = self._account.settings()
        wire = Wire(self.account, settings.currency, settings.zone)
        return History(self._api, self._clock, wire.deal, filterable=settings.is_filterable)

    def _timeline(self) -> Timeline:
        settings = self._account.settings()
        return Timeline(self._api, FileStore(self._api, settings.drive_url), self._clock, settings.zone)


def _deal_ids(item: Wild) -> list[str]:
    linked = (item.get("_embedded") or Wild({})).get("leads") or Wild(None)
    return [link["id"].id() for link in linked.each()]
