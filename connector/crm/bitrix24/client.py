"""Bitrix24 as a `CrmClient`. Knows which calls answer which question; JSON is read in `wire.py` and
`directory.py`, writes are made in `timeline.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm.base import Subscription
from connector.crm.bitrix24 import wire
from connector.crm.bitrix24.api import PAGE, B24Api, Batch, Params, Reader
from connector.crm.bitrix24.directory import FieldInfo, read_directory, read_fields
from connector.crm.bitrix24.history import StageHistory
from connector.crm.bitrix24.listing import LongList
from connector.crm.bitrix24.subscription import manual_steps
from connector.crm.bitrix24.timeline import Timeline
from connector.crm.bitrix24.wire import COMPANY, CONTACT, DEAL, REQUISITE, Wire
from connector.crm.http import MAX_TURN_WAIT, RateLimiter
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
    Requisites,
    StageChange,
    User,
)
from connector.errors import CrmError

T = TypeVar("T")

#: How long the portal's settings (stages, sources, custom fields) are believed while deals are read.
SETTINGS_AGE = timedelta(hours=1)

#: What a Russian zone is called when the portal tells its offset only; hours east of Greenwich.
ZONES = {
    2: "Europe/Kaliningrad",
    3: "Europe/Moscow",
    4: "Europe/Samara",
    5: "Asia/Yekaterinburg",
    6: "Asia/Omsk",
    7: "Asia/Krasnoyarsk",
    8: "Asia/Irkutsk",
    9: "Asia/Yakutsk",
    10: "Asia/Vladivostok",
    11: "Asia/Magadan",
    12: "Asia/Kamchatka",
}


class Bitrix24Client:
    """One portal, through an inbound webhook. Safe to share between threads."""

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
        self._lock = threading.Lock()
        self._known: tuple[datetime, Wire] | None = None
        self._fields: dict[int, tuple[datetime, Mapping[str, FieldInfo]]] = {}

    def account_info(self) -> AccountInfo:
        """The portal and the webhook's owner. The portal's `member_id`, which its webhooks carry, is told to
        applications only; the account id is the portal's host."""
        answers = self._api.batch(
            {"me": ("profile", {}), "now": ("server.time", {}), "currency": ("crm.currency.base.get", {})}
        )
        host = urlsplit(self._api.base).hostname or ""
        me, zone_name = answers.read("me", lambda result: (_owner(result), result.text_at("TIME_ZONE")))
        return AccountInfo(
            account_id=host,
            name=host,
            timezone=answers.read("now", lambda now: _zone(zone_name, now.text()).key),
            currency=_currency(answers),
            user_id=me.id,
            user_name=me.name,
            is_admin=me.is_admin,
        )

    def pipelines(self) -> list[Pipeline]:
        return list(self._wire(fresh=True).directory.pipelines)

    def users(self) -> list[User]:
        """All employees, the dismissed ones too; guests of the portal are left out.

        Of administrators only the webhook's owner is known to be one: user.get does not tell them.
        """
        owner = self._api.call("profile", {}, _owner)
        rows = self._api.offset(
            "user.get",
            {"sort": "ID", "order": "ASC"},
            lambda result: result,
            lambda item: (item.text_at("USER_TYPE"), wire.user(item)),
        )
        return [
            replace(user, is_admin=owner.is_admin and user.id == owner.id)
            for kind, user in rows
            if kind in ("employee", "")
        ]

    def loss_reasons(self) -> list[LossReason]:
        return self._wire(fresh=True).directory.loss_reasons()

    def deal(self, deal_id: str) -> Deal | None:
        """The deal; None when it is deleted, and when the webhook's owner may not see it."""
        reader = self._wire()
        return self._api.find(
            "crm.item.get", _item(DEAL, deal_id), lambda result: reader.deal(result["item"])
        )

    def card(self, deal: Deal) -> DealCard:
        """The deal with what hangs on it, in two requests, three when the company has requisites."""
        fields = {CONTACT: self._custom_fields(CONTACT), COMPANY: self._custom_fields(COMPANY)}
        # A batch takes 50 commands; a deal with more contacts than this is somebody's import.
        contact_ids = deal.contact_ids[:40]
        commands: dict[str, tuple[str, Params]] = {
            f"contact{one}": ("crm.item.get", _item(CONTACT, one)) for one in contact_ids
        }
        commands["rows"] = (
            "crm.item.productrow.list",
            _rows_of(deal.id),
        )
        if deal.company_id is not None:
            commands["company"] = ("crm.item.get", _item(COMPANY, deal.company_id))
            commands["requisites"] = ("crm.requisite.list", _requisites_of(deal.company_id))
        answers = self._api.batch(commands)
        contacts = [
            found
            for one in contact_ids
            if (
                found := answers.find(
                    f"contact{one}", lambda result: wire.contact(result["item"], fields[CONTACT])
                )
            )
        ]
        company: Company | None = None
        if deal.company_id is not None:
            details = self._details(answers.read("requisites", _first_active))
            company = answers.find(
                "company", lambda result: wire.company(result["item"], fields[COMPANY], details)
            )
        rows = answers.read("rows", _read_rows)
        if len(rows) == PAGE:
            method, params = commands["rows"]
            rows = list(self._api.offset(method, params, lambda result: result["productRows"], _read_row))
        ordered = [row for _, row in sorted(rows, key=lambda row: row[0])]
        return DealCard(deal, tuple(_main_first(contacts)), company, tuple(ordered))

    def deals(self, updated_since: datetime | None = None) -> Iterator[Deal]:
        """By ascending id; a deal that changes meanwhile comes as it is when its page is read."""
        filters = {} if updated_since is None else {">=updatedTime": updated_since.isoformat()}
        reader = self._wire()
        params = {
            "entityTypeId": DEAL,
            "select": ["*"],
            "filter": filters,
            "useOriginalUfNames": "Y",
        }
        return self._items(params, reader.deal).rows()

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
        deal_id: str,
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
        return self._timeline.post_report(
            title, text, to_user_id=to_user_id, files=files, may_exist=may_exist, since=since
        )

    def subscribe(self, destination: str) -> Subscription:
        """An inbound webhook cannot subscribe to events: what a person has to do, step by step."""
        scopes = self._api.call("scope", {}, lambda result: [scope.text() for scope in result.each()])
        return Subscription(destination, created=False, manual_steps=manual_steps(destination, scopes))

    def _items(self, params: Params, read: Reader[T]) -> LongList[T]:
        return LongList(self._api, self._clock, "crm.item.list", params, read, key="id")

    def _details(self, found: tuple[str, Requisites] | None) -> Requisites:
        """Requisites with the bank account and the address, which the portal keeps apart."""
        if found is None:
            return Requisites()
        requisite_id, details = found
        owner = {"ENTITY_TYPE_ID": REQUISITE, "ENTITY_ID": int(requisite_id)}
        answers = self._api.batch(
            {
                "banks": (
                    "crm.requisite.bankdetail.list",
                    {"filter": {"ENTITY_ID": int(requisite_id)}, "order": {"SORT": "ASC", "ID": "ASC"}},
                ),
                "addresses": ("crm.address.list", {"filter": owner}),
            }
        )
        bank = answers.read("banks", lambda rows: next(filter(_is_active, rows.each()), None))
        details = replace(details, address=answers.read("addresses", wire.address))
        return wire.with_bank(details, bank) if bank is not None else details

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
        zone = answers.read("now", lambda moment: _zone("", moment.text()))
        reader = Wire(self.account, directory, zone)
        with self._lock:
            self._known = (now, reader)
        return reader


def _currency(answers: Batch) -> str:
    """The portal's base currency; the rouble where the webhook may not ask."""
    try:
        return answers.read("currency", Wild.text)
    except CrmError as error:
        if error.kind != "config":
            raise
        return "RUB"


def _owner(profile: Wild) -> User:
    admin = profile.get("ADMIN")
    return replace(wire.user(profile), is_admin=admin is not None and admin.flag())


def _item(entity_type: int, item_id: str) -> dict[str, object]:
    return {"entityTypeId": entity_type, "id": int(item_id), "useOriginalUfNames": "Y"}


def _fields_of(entity_type: int) -> dict[str, object]:
    return {"entityTypeId": entity_type, "useOriginalUfNames": "Y"}


def _requisites_of(company_id: str) -> dict[str, object]:
    return {
        "filter": {"ENTITY_TYPE_ID": COMPANY, "ENTITY_ID": int(company_id)},
        "order": {"SORT": "ASC", "ID": "ASC"},
        "select": ["*"],
    }


def _first_active(rows: Wild) -> tuple[str, Requisites] | None:
    for row in filter(_is_active, rows.each()):
        return row["ID"].id(), wire.requisites(row)
    return None


def _is_active(row: Wild) -> bool:
    active = row.get("ACTIVE")
    return active is None or active.flag()


def _rows_of(deal_id: str) -> dict[str, object]:
    """Nothing but the filter: an unknown parameter breaks this method (fast_bitrix24 issue 234)."""
    return {"filter": {"=ownerType": "D", "=ownerId": int(deal_id)}}


def _read_rows(result: Wild) -> list[tuple[int, ProductRow]]:
    return [_read_row(item) for item in result["productRows"].each()]


def _read_row(item: Wild) -> tuple[int, ProductRow]:
    """A row and its place in the deal."""
    place = item.get("sort")
    return (place.int() if place is not None else 0), wire.product_row(item)


def _main_first(contacts: list[Contact]) -> list[Contact]:
    """A deal's contact ids come with the main one first."""
    return [replace(contact, is_main=index == 0) for index, contact in enumerate(contacts)]


def _zone(name: str, server_time: str) -> ZoneInfo:
    """The zone called `name`, else the Russian one with the offset of the server's time."""
    try:
        if name:
            return ZoneInfo(name)
        offset = datetime.fromisoformat(server_time).utcoffset() or timedelta()
    except (ZoneInfoNotFoundError, ValueError):
        raise Malformed("result['TIME_ZONE']", "is no time zone") from None
    return ZoneInfo(ZONES.get(round(offset.total_seconds() / 3600), "Europe/Moscow"))
