"""Bitrix24 as a `CrmClient`. Knows which calls answer which question; JSON is read in `wire.py` and
`directory.py`, each larger answer is put together in a module of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final, TypeVar

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm.base import EventBatch, Subscription
from connector.crm.bitrix24 import (
    account,
    automation,
    fields,
    invoices,
    payments,
    placements,
    products,
    reports,
    subscription,
    tasks,
)
from connector.crm.bitrix24.activities import Activities
from connector.crm.bitrix24.api import PAGE, B24Api, Params, Reader
from connector.crm.bitrix24.cards import read_card, read_contacts
from connector.crm.bitrix24.directory import Directory, FieldInfo, read_directory, read_fields
from connector.crm.bitrix24.events import OfflineQueue
from connector.crm.bitrix24.history import StageHistory
from connector.crm.bitrix24.leads import Leads
from connector.crm.bitrix24.listing import AHEAD, LONGEST_CHAIN, LongList
from connector.crm.bitrix24.selection import WHOLE, Incomplete, check, deal_fields
from connector.crm.bitrix24.timeline import Timeline
from connector.crm.bitrix24.wire import COMPANY, CONTACT, DEAL, Wire
from connector.crm.bitrix24.writer import DealUpdate
from connector.crm.bulk import DealWithContacts, with_contacts
from connector.crm.http import MAX_TURN_WAIT, RateLimiter
from connector.crm.tokens import TokenSource
from connector.crm.wild import Wild
from connector.domain import (
    AccountInfo,
    Activity,
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

T = TypeVar("T")

#: How long the portal's settings (stages, sources, custom fields) are believed while deals are read.
SETTINGS_AGE: Final = timedelta(hours=1)

#: Entities with custom fields, in our words.
_ENTITIES: Final = {"deal": DEAL, "contact": CONTACT, "company": COMPANY}

#: Ids looked up with one command, which is a page, and commands in one request.
_EXISTING_COMMANDS: Final = 20


class Bitrix24Client:
    """One portal, through an inbound webhook or as an application. Safe to share between threads."""

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
        self._api = B24Api(account, limiter=limiter, clock=clock, patience=patience, tokens=tokens)
        self._timeline = Timeline(self._api)
        self._history = StageHistory(self._api, clock)
        self._activities = Activities(self._api, clock)
        self._leads = Leads(self._api, clock, self._directory)
        self._queue = OfflineQueue(self._api)
        self._lock = threading.Lock()
        self._known: tuple[datetime, Wire] | None = None
        self._fields: dict[int, tuple[datetime, Mapping[str, FieldInfo]]] = {}
        # This portal does not give parts of deals: no reason to ask it again.
        self._takes_whole = False

    def account_info(self) -> AccountInfo:
        return account.account_info(self._api)

    def pipelines(self) -> list[Pipeline]:
        return list(self._wire(fresh=True).directory.pipelines)

    def users(self) -> list[User]:
        return account.read_users(self._api)

    def loss_reasons(self) -> list[LossReason]:
        return self._wire(fresh=True).directory.loss_reasons()

    def custom_fields(self, entity: str) -> list[CustomField]:
        """Fields of a deal, contact or company that the company added, as they are now."""
        found = self._api.call("crm.item.fields", _fields_of(_ENTITIES[entity]), read_fields)
        return [fields.describe(entity, info) for info in found.values()]

    def products(self) -> Iterator[Product]:
        return products.read_products(self._api, self._clock)

    def deal(self, deal_id: str) -> Deal | None:
        """The deal; None when it is deleted, and when the owner of the access may not see it."""
        reader = self._wire()
        params = {"entityTypeId": DEAL, "id": int(deal_id), "useOriginalUfNames": "Y"}
        return self._api.find("crm.item.get", params, lambda result: reader.deal(result["item"]))

    def card(self, deal: Deal) -> DealCard:
        """The deal with what hangs on it, in one request."""
        return read_card(self._api, deal, self._custom_fields(CONTACT), self._custom_fields(COMPANY))

    def deals(
        self, updated_since: datetime | None = None, *, after: DealMark | None = None
    ) -> Iterator[Deal]:
        """By ascending id; a deal that changes meanwhile comes as it is when its page is read."""
        filters = {} if updated_since is None else {">=updatedTime": updated_since.isoformat()}
        reader = self._wire()
        names = deal_fields(reader.directory)
        needed = frozenset(names)
        last = int(after.deal_id) if after else 0

        def read(item: Wild) -> Deal:
            if not self._takes_whole:
                check(item, needed)
            return reader.deal(item)

        while True:
            params = {
                "entityTypeId": DEAL,
                "select": WHOLE if self._takes_whole else names,
                "filter": filters,
                "useOriginalUfNames": "Y",
            }
            try:
                for deal in self._items(params, read).rows(last):
                    yield deal
                    last = int(deal.id)
            except Incomplete:
                self._takes_whole = True
            else:
                return

    def deal_count(self) -> int | None:
        return self._api.total("crm.item.list", {"entityTypeId": DEAL, "select": ["id"]})

    def contacts_of(self, deals: Iterable[Deal]) -> Iterator[DealWithContacts]:
        found = partial(read_contacts, self._api, fields=self._custom_fields(CONTACT))
        return with_contacts(deals, found, at_once=PAGE * LONGEST_CHAIN, ahead=AHEAD)

    def stage_changes(
        self, *, deal_id: str | None = None, since: datetime | None = None
    ) -> Iterator[StageChange]:
        return self._history.of_all(since) if deal_id is None else self._history.of_deal(deal_id, since)

    def deals_of(self, *, contact_id: str | None = None, company_id: str | None = None) -> list[str]:
        """Deals of the company, and those where the contact is the main one: only that link can be asked."""
        found: dict[str, None] = {}
        for name, value in (("contactId", contact_id), ("companyId", company_id)):
            if value is not None:
                params = {"entityTypeId": DEAL, "select": ["id"], "filter": {f"={name}": int(value)}}
                found.update(dict.fromkeys(self._items(params, lambda item: item["id"].id()).rows()))
        return list(found)

    def activities(
        self, *, since: datetime | None = None, deal_id: str | None = None, brief: bool = False
    ) -> Iterator[Activity]:
        """Oldest change first; the notes, which the portal gives deal by deal only, come last."""
        return self._activities.read(since, deal_id, brief=brief)

    def existing_activities(self, ids: Sequence[str]) -> set[str]:
        return self._activities.existing(ids)

    def tasks(self, *, since: datetime | None = None, deal_id: str | None = None) -> Iterator[CrmTask]:
        """Tasks of the task module and the CRM's own to-dos."""
        return tasks.read_tasks(self._api, since, deal_id)

    def invoices(self, *, since: datetime | None = None) -> Iterator[CrmInvoice]:
        return invoices.read_invoices(self._api, since)

    def deletions(self, *, since: datetime) -> Iterator[Deletion]:
        """Nothing: the portal has no list of what was deleted or merged. `existing` tells what is gone."""
        return iter(())

    def told_since(self, since: datetime) -> Iterator[CrmEvent]:
        """Nothing: of the past the portal keeps moves alone, and those are `stage_changes`."""
        return iter(())

    def existing(self, deal_ids: Sequence[str]) -> set[str]:
        """Those that the portal still shows; 1,000 ids in one request. What the owner of the access may not
        see is missing as well."""
        found: set[str] = set()
        pages = [deal_ids[begin : begin + PAGE] for begin in range(0, len(deal_ids), PAGE)]
        for begin in range(0, len(pages), _EXISTING_COMMANDS):
            commands: dict[str, tuple[str, Params]] = {
                f"page{place}": ("crm.item.list", _with_ids(page))
                for place, page in enumerate(pages[begin : begin + _EXISTING_COMMANDS])
            }
            answers = self._api.batch(commands)
            for key in commands:
                found |= answers.read(
                    key, lambda result: {item["id"].id() for item in result["items"].each()}
                )
        return found & set(deal_ids)

    def update_deal(self, deal_id: str, changes: DealChanges) -> bool:
        """Send what differs; False when the deal is like that already.

        Raises CrmError «rejected» with the field and the reason, in Russian, for what a deal cannot be.
        """
        return DealUpdate(self._api, self._wire()).make(deal_id, changes)

    def incoming(self, *, since: datetime | None = None) -> Iterator[IncomingLead]:
        return self._leads.incoming(since)

    def accept_incoming(self, lead_id: str, *, responsible_id: str | None, stage_id: str | None) -> str:
        return self._leads.accept(lead_id, responsible_id, stage_id)

    def decline_incoming(self, lead_id: str) -> None:
        self._leads.decline(lead_id)

    def queued_events(self) -> EventBatch | None:
        return self._queue.take()

    def confirm_events(self, batch: EventBatch) -> None:
        self._queue.confirm(batch)

    def payment_link(self, deal_id: str, amount: Decimal) -> str | None:
        return payments.payment_link(self._api, deal_id, amount)

    def start_automation(self, automation_id: str, deal_id: str) -> bool:
        """Start a business process (a number) or fire a trigger (a word) on the deal."""
        return automation.start(self._api, automation_id, deal_id)

    def add_note(
        self,
        deal_id: str,
        text: str,
        *,
        files: Sequence[CrmFile] = (),
        may_exist: bool = False,
        since: datetime,
    ) -> str:
        return self._timeline.add_note(deal_id, text, files, may_exist=may_exist, since=since)

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
        return self._timeline.add_task(
            deal_id,
            text,
            responsible_id=responsible_id,
            due_at=due_at,
            may_exist=may_exist,
            since=since,
        )

    def task_answer(self, task_id: str) -> str | None:
        return self._timeline.task_answer(task_id)

    def complete_task(self, task_id: str, result: str) -> None:
        self._timeline.complete_task(task_id, result)

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
        """A message and a notification to an employee; a post for «UA», «SG3» and «DR1», to all for «»."""
        return reports.post_report(
            self._api,
            title,
            text,
            to=to_user_id or reports.EVERYBODY,
            files=files,
            may_exist=may_exist,
            since=since,
        )

    def subscribe(self, destination: str) -> Subscription:
        """Bind the application's handlers, its queue and its robot; for a webhook, which may do none of it,
        what a person has to do, step by step."""
        return subscription.subscribe(self._api, self._queue, destination)

    def show_page(self, address: str) -> bool:
        return placements.show_tab(self._api, address)

    def is_subscribed(self, destination: str) -> bool | None:
        return subscription.is_subscribed(self._api, destination)

    def _items(self, params: Params, read: Reader[T]) -> LongList[T]:
        return LongList(self._api, self._clock, "crm.item.list", params, read, key="id")

    def _custom_fields(self, entity_type: int) -> Mapping[str, FieldInfo]:
        """Custom fields of contacts or companies, read at most once an hour."""
        now = self._clock.now()
        with self._lock:
            known = self._fields.get(entity_type)
        if known is not None and now - known[0] < SETTINGS_AGE:
            return known[1]
        fields = self._api.call("crm.item.fields", _fields_of(entity_type), read_fields)
        with self._lock:
            self._fields[entity_type] = (now, fields)
        return fields

    def _directory(self) -> Directory:
        return self._wire().directory

    def _wire(self, *, fresh: bool = False) -> Wire:
        """The reader of deals with the portal's settings, which are read at most once an hour."""
        now = self._clock.now()
        with self._lock:
            if not fresh and self._known is not None and now - self._known[0] < SETTINGS_AGE:
                return self._known[1]
        answers = self._api.batch(
            {
                "categories": ("crm.category.list", {"entityTypeId": DEAL}),
                "statuses": ("crm.status.list", {"order": {"SORT": "ASC"}}),
                "fields": ("crm.item.fields", _fields_of(DEAL)),
                "now": ("server.time", {}),
            }
        )
        parts = [answers.read(key, lambda result: result) for key in ("categories", "statuses", "fields")]
        directory = answers.read("fields", lambda _: read_directory(*parts))
        zone = answers.read("now", lambda moment: account.zone_of("", moment.text()))
        reader = Wire(self.account, directory, zone)
        with self._lock:
            self._known = (now, reader)
        return reader


def _fields_of(entity_type: int) -> dict[str, object]:
    return {"entityTypeId": entity_type, "useOriginalUfNames": "Y"}


def _with_ids(deal_ids: Sequence[str]) -> Params:
    return {
        "entityTypeId": DEAL,
        "select": ["id"],
        "filter": {"@id": [int(one) for one in deal_ids]},
        "order": {"id": "ASC"},
        "start": -1,
    }
