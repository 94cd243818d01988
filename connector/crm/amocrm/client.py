"""amoCRM as a `CrmClient`. Knows which calls answer a question; JSON is read in `wire.py` and `events.py`,
writes are made in `timeline.py`, long reads in `history.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm.amocrm.api import AmoApi
from connector.crm.amocrm.files import FileStore
from connector.crm.amocrm.history import WITH_PRODUCTS, History
from connector.crm.amocrm.readings import Readings
from connector.crm.amocrm.subscription import subscribe
from connector.crm.amocrm.timeline import Timeline
from connector.crm.amocrm.wire import Wire, elements, loss_reason, pipeline, product_row, user, with_kopecks
from connector.crm.base import Subscription
from connector.crm.http import MAX_TURN_WAIT, RateLimiter
from connector.crm.requisites import from_fields, merged
from connector.crm.tokens import TokenSource
from connector.crm.wild import Malformed, Wild
from connector.domain import (
    AccountInfo,
    Company,
    Contact,
    CrmFile,
    Deal,
    DealCard,
    LossReason,
    Pipeline,
    ProductRow,
    StageChange,
    User,
)
from connector.errors import CrmError

#: How long the account's own settings (zone, currency, paid options) are believed.
SETTINGS_AGE = timedelta(hours=1)

DEFAULT_ZONE = "Europe/Moscow"


@dataclass(frozen=True, slots=True)
class _Settings:
    """What the account says of itself."""

    id: str
    name: str
    user_id: str
    currency: str
    zone: ZoneInfo
    drive_url: str
    is_filterable: bool


class AmoCrmClient:
    """One account of amoCRM, through a long-lived token. Safe to share between threads."""

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
        self._lock = threading.Lock()
        self._known: tuple[datetime, _Settings] | None = None

    def account_info(self) -> AccountInfo:
        settings = self._settings(fresh=True)
        name, is_admin = self._token_owner(settings.user_id)
        return AccountInfo(
            account_id=settings.id,
            name=settings.name,
            timezone=settings.zone.key,
            currency=settings.currency,
            user_id=settings.user_id,
            user_name=name,
            is_admin=is_admin,
        )

    def pipelines(self) -> list[Pipeline]:
        return list(self._api.pages("leads/pipelines", "pipelines", pipeline))

    def users(self) -> list[User]:
        """All users. An external integration may not read them: CrmError, kind config."""
        try:
            return list(self._api.pages("users", "users", user))
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
        """The deal with what hangs on it. Requisites come from the company; what it lacks is taken from
        fields of the deal and of the main contact, where small firms write it.

        A deal that `deal` gave lately is not asked for again; any other is, and the card is of that reading.
        """
        lead = self._readings.of(deal)
        if lead is None:
            deal = self.deal(deal.id) or deal
            lead = self._readings.of(deal) or Wild({})
        contacts = self._contacts(deal, lead)
        company = self._company(deal.company_id)
        if company is not None:
            others = [from_fields(deal.fields), *(from_fields(contact.fields) for contact in contacts[:1])]
            company = replace(company, requisites=merged(company.requisites, *others))
        rows = tuple(self._rows(lead))
        return DealCard(with_kopecks(deal, rows), tuple(contacts), company, rows)

    def deals(self, updated_since: datetime | None = None) -> Iterator[Deal]:
        return self._history().deals(updated_since)

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
        deal_id: str,
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

    def subscribe(self, destination: str) -> Subscription:
        return subscribe(self._api, destination)

    def _contacts(self, deal: Deal, lead: Wild) -> list[Contact]:
        """The deal's contacts, the main one first."""
        main = {
            link["id"].id()
            for link in ((lead.get("_embedded") or Wild({})).get("contacts") or Wild(None)).each()
            if (flag := link.get("is_main")) is not None and flag.flag()
        }
        found = self._api.by_ids(
            "contacts",
            "contacts",
            deal.contact_ids,
            self._wire().contact,
            filterable=self._settings().is_filterable,
        )
        marked = [replace(contact, is_main=contact.id in main) for contact in found]
        return sorted(marked, key=lambda contact: not contact.is_main)

    def _company(self, company_id: str | None) -> Company | None:
        return self._api.one(f"companies/{company_id}", self._wire().company) if company_id else None

    def _rows(self, lead: Wild) -> Iterator[ProductRow]:
        """Rows of the linked catalog elements that have a price, in the order of the deal."""
        linked = elements(lead)
        for catalog_id in dict.fromkeys(element.catalog_id for element in linked):
            chosen = [element for element in linked if element.catalog_id == catalog_id]
            items = dict(
                self._api.by_ids(
                    f"catalogs/{catalog_id}/elements",
                    "elements",
                    [element.id for element in chosen],
                    lambda item: (item["id"].id(), item),
                    filterable=True,
                )
            )
            for element in chosen:
                row = product_row(element, items[element.id]) if element.id in items else None
                if row is not None:
                    yield row

    def _token_owner(self, user_id: str) -> tuple[str, bool]:
        """Name and rights of the token's user. Where users are refused, the list of webhooks tells the
        rights: only an administrator may read it."""
        try:
            owner = self._api.one(f"users/{user_id}", user)
        except CrmError as error:
            if error.kind != "config":
                raise
            owner = None
        if owner is not None:
            return owner.name, owner.is_admin
        try:
            self._api.page("webhooks", "webhooks", lambda item: item["id"].id())
        except CrmError as error:
            if error.kind != "config":
                raise
            return "", False
        return "", True

    def _settings(self, *, fresh: bool = False) -> _Settings:
        """The account's settings, read at most once an hour."""
        now = self._clock.now()
        with self._lock:
            if not fresh and self._known is not None and now - self._known[0] < SETTINGS_AGE:
                return self._known[1]
        settings = self._api.one(
            "account", _read_settings, [("with", "drive_url,datetime_settings,is_api_filter_enabled")]
        )
        if settings is None:
            raise self._api.unexpected("GET /api/v4/account", "no account")
        with self._lock:
            self._known = (now, settings)
        return settings

    def _wire(self) -> Wire:
        settings = self._settings()
        return Wire(self.account, settings.currency, settings.zone)

    def _history(self) -> History:
        settings = self._settings()
        wire = Wire(self.account, settings.currency, settings.zone)
        return History(self._api, self._clock, wire.deal, filterable=settings.is_filterable)

    def _timeline(self) -> Timeline:
        settings = self._settings()
        return Timeline(self._api, FileStore(self._api, settings.drive_url), self._clock, settings.zone)


def _read_settings(item: Wild) -> _Settings:
    times = (item.get("_embedded") or Wild({})).get("datetime_settings") or Wild({})
    filterable = item.get("is_api_filter_enabled")
    return _Settings(
        id=item["id"].id(),
        name=item.text_at("name", "subdomain"),
        user_id=item["current_user_id"].id(),
        currency=item.text_at("currency") or "RUB",
        zone=_zone(times.text_at("timezone") or DEFAULT_ZONE),
        drive_url=item.text_at("drive_url"),
        is_filterable=filterable is not None and filterable.flag(),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise Malformed("answer['_embedded']['datetime_settings']['timezone']", "is no time zone") from None


def _deal_ids(item: Wild) -> list[str]:
    linked = (item.get("_embedded") or Wild({})).get("leads") or Wild(None)
    return [link["id"].id() for link in linked.each()]
