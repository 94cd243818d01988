"""What one simulated Bitrix24 portal holds beyond the shared `Portal`: names, ids and records of its own.

Methods get it with every call. Knows nothing of HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from connector.clock import Clock, SystemClock
from connector.sandbox.bitrix24.application import Application
from connector.sandbox.bitrix24.limits import LeakyBucket, OperatingBook
from connector.sandbox.bitrix24.smart import SmartStore
from connector.sandbox.bitrix24.switches import Switches
from connector.sandbox.faults import Faults
from connector.sandbox.state import HistoryRow, Portal, ProductRow, Stage, UnknownEntity
from connector.sandbox.table import Table, Tracked

if TYPE_CHECKING:
    from connector.sandbox.bitrix24.automation import Automation
    from connector.sandbox.bitrix24.events import EventQueue
    from connector.sandbox.bitrix24.methods.documents import Document, Template
    from connector.sandbox.bitrix24.methods.open_lines import OpenChat
    from connector.sandbox.bitrix24.methods.payments import Payment
    from connector.sandbox.bitrix24.methods.telephony import PhoneCall
    from connector.sandbox.bitrix24.oauth import OAuth
    from connector.sandbox.bitrix24.offline import OfflineQueue

SEMANTICS = {"open": "P", "won": "S", "lost": "F"}


@dataclass(slots=True)
class Lead:
    """An enquiry not yet a deal; the shared portal has none, so Bitrix24 keeps its own."""

    id: int
    created_at: datetime
    updated_at: datetime
    created_by: int
    fields: dict[str, Any] = field(default_factory=dict)
    rows: list[ProductRow] = field(default_factory=list)


class MovesIndex:
    """The portal's history by deal, kept up as it grows."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._seen = 0
        self._by_deal: dict[int, list[HistoryRow]] = {}

    def of(self, deal_id: int) -> list[HistoryRow]:
        """Moves of one deal, oldest first."""
        with self._portal.lock:
            for row in self._portal.history[self._seen :]:
                self._by_deal.setdefault(row.deal_id, []).append(row)
            self._seen = len(self._portal.history)
            return self._by_deal.get(deal_id, [])


@dataclass(slots=True)
class Site:
    """The portal with its clock, its switches and what only this dialect knows."""

    NOT_KEPT: ClassVar = frozenset({"met_activities", "met_invoices"})

    portal: Portal
    base_url: str
    member_id: str
    application: Application
    faults: Faults
    clock: Clock = field(default_factory=SystemClock)
    switches: Switches = field(default_factory=Switches)
    bucket: LeakyBucket = field(default_factory=LeakyBucket)
    operating: OperatingBook = field(default_factory=OperatingBook)
    leads: dict[int, Lead] = field(default_factory=dict)
    activities: Table[dict[str, Any]] = field(default_factory=Table)
    #: Whether the activities and the invoices of a loaded past stand where they belong, see `past.py`.
    met_activities: bool = False
    met_invoices: bool = False
    task_extras: dict[int, dict[str, Any]] = field(default_factory=dict)
    task_items: dict[int, dict[str, Any]] = field(default_factory=dict)
    requisite_extras: dict[int, dict[str, Any]] = field(default_factory=dict)
    requisite_links: dict[tuple[int, int], dict[str, int]] = field(default_factory=dict)
    notice_tags: dict[tuple[int, str], int] = field(default_factory=dict)
    chats: dict[int, str] = field(default_factory=dict)
    bots: dict[int, dict[str, Any]] = field(default_factory=dict)
    products: dict[int, dict[str, Any]] = field(default_factory=dict)
    workflows: dict[str, tuple[int, int]] = field(default_factory=dict)
    posts: dict[int, dict[str, str]] = field(default_factory=dict)
    disk_names: dict[int, tuple[int, str]] = field(default_factory=dict)
    folders: dict[int, tuple[int, str]] = field(default_factory=dict)
    phone_calls: dict[str, PhoneCall] = field(default_factory=dict)
    phone_lines: dict[str, str] = field(default_factory=dict)
    payments: dict[int, Payment] = field(default_factory=dict)
    open_chats: dict[int, OpenChat] = field(default_factory=dict)
    templates: dict[int, Template] = field(default_factory=dict)
    documents: dict[int, Document] = field(default_factory=dict)
    bound_notes: set[int] = field(default_factory=set)
    pinned: set[int] = field(default_factory=set)
    timeline_notes: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    own_statuses: dict[int, tuple[str, str, str, int]] = field(default_factory=dict)
    volatile_types: dict[int, dict[str, Any]] = field(default_factory=dict)
    own_user_fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    user_field_keys: dict[str, tuple[tuple[int, int], list[str]]] = field(default_factory=dict)
    user_field_labels: dict[str, str] = field(default_factory=dict)
    zone: tzinfo = UTC
    moves: MovesIndex = field(init=False)
    smart: SmartStore = field(init=False)
    oauth: OAuth = field(init=False)
    events: EventQueue = field(init=False)
    offline: OfflineQueue = field(init=False)
    automation: Automation = field(init=False)
    _numbers: Tracked[object, int] = field(default_factory=Tracked)
    _acting: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        self.zone = ZoneInfo(self.portal.timezone)
        self.moves = MovesIndex(self.portal)
        self.smart = SmartStore(self.portal)

    @property
    def rest_url(self) -> str:
        return f"{self.base_url}/rest/"

    @property
    def oauth_url(self) -> str:
        """Base of the OAuth server's methods, `server_endpoint`."""
        return f"{self.switches.oauth_server.rstrip('/') or self.base_url}/rest/"

    @property
    def oauth_host(self) -> str:
        return urlsplit(self.oauth_url).netloc

    def address_block(self) -> dict[str, str]:
        """The part of `auth[…]` that every delivery carries."""
        return {
            "domain": self.host,
            "client_endpoint": self.rest_url,
            "server_endpoint": self.oauth_url,
            "member_id": self.member_id,
            "application_token": self.application.token,
        }

    @property
    def host(self) -> str:
        return self.base_url.split("://", 1)[-1]

    def now(self) -> datetime:
        return self.portal.now()

    def local_day(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def number_of(self, kind: str, *key: object, start: int = 1) -> int:
        """A stable id for something that the shared portal does not number; the same key, the same id."""
        with self.portal.lock:
            full = (kind, *key)
            if full not in self._numbers:
                self._numbers[full] = self.portal.new_id(kind, start)
            return self._numbers[full]

    def stage_of(self, pipeline_id: int, code: str) -> Stage | None:
        try:
            return self.portal.stage(pipeline_id, code)
        except UnknownEntity:
            return None

    def semantics(self, pipeline_id: int, code: str) -> str:
        """P, S or F; a stage that is gone counts as in work."""
        stage = self.stage_of(pipeline_id, code)
        return SEMANTICS[stage.kind] if stage else "P"

    @contextmanager
    def acting_as(self, connector: str | None) -> Iterator[None]:
        """Changes made inside carry the caller's `auth_connector`: its own offline queue skips them."""
        before = self.acting_connector
        self._acting.connector = connector or before
        try:
            yield
        finally:
            self._acting.connector = before

    @property
    def acting_connector(self) -> str | None:
        return getattr(self._acting, "connector", None)
