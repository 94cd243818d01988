"""What a sandbox CRM knows: one `Portal` an account, the same for both dialects.

The dialects (`amocrm/`, `bitrix24/`) translate it to the wire and back; the board drags its deals. Every
write goes through a method of `Portal`, which keeps the history and tells the listeners, so that a change
made through the API and one made by hand on the board leave the same traces. Nothing here is shared with
`connector.crm`: the two meet over HTTP only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from connector.sandbox.moving_clock import MovingClock
from connector.sandbox.portal_index import Indexes
from connector.sandbox.queries import Queries
from connector.sandbox.table import Log, Table

V = TypeVar("V")

EntityType = Literal["deal", "contact", "company", "task", "note"]
ChangeAction = Literal["add", "update", "delete"]

#: `by` of a change that no person and no API user made: robots, the import.
ROBOT = 0


@dataclass(slots=True)
class Stage:
    """`code` is the dialect's own id: «142», «C1:WON». kind: open | won | lost."""

    code: str
    pipeline_id: int
    name: str
    sort: int
    kind: str
    color: str = "#99ccff"
    is_qualified: bool = False
    is_key: bool = False


@dataclass(slots=True)
class Pipeline:
    id: int
    name: str
    sort: int
    stages: list[Stage]
    is_main: bool = False


@dataclass(slots=True)
class User:
    id: int
    name: str
    last_name: str
    email: str
    is_admin: bool = False
    is_active: bool = True
    post: str = ""
    #: The group or department; "" is the first one that every portal has.
    team: str = ""


@dataclass(slots=True)
class Contact:
    id: int
    name: str
    last_name: str = ""
    second_name: str = ""
    post: str = ""
    phones: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    company_id: int | None = None
    responsible_id: int = 0
    created_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    updated_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Requisites:
    """A company's legal details; keys of the dialects are made from these."""

    id: int
    full_name: str = ""
    inn: str = ""
    kpp: str = ""
    ogrn: str = ""
    address: str = ""
    bank_name: str = ""
    bik: str = ""
    account: str = ""
    corr_account: str = ""
    director_name: str = ""
    director_post: str = ""
    basis: str = ""


@dataclass(slots=True)
class Company:
    id: int
    name: str
    phones: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    responsible_id: int = 0
    created_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    updated_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    requisites: Requisites | None = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ProductRow:
    """`price` per unit, after discount, VAT included; `vat_rate` in percent, None = without VAT.

    `is_vat_on_top`: people typed the price without VAT, and it was added. `net_price`: that very price after
    the discount, where `price` was rounded; None where it follows from `price`.
    product_id: 0 for a row without a product of the catalogue.
    """

    id: int
    name: str
    price: Decimal
    quantity: Decimal
    unit: str = "шт"
    vat_rate: Decimal | None = None
    discount: Decimal = Decimal(0)
    is_vat_on_top: bool = False
    net_price: Decimal | None = None
    discount_in_percent: bool = True
    product_id: int = 0


@dataclass(slots=True)
class Deal:
    id: int
    name: str
    pipeline_id: int
    stage: str
    amount: Decimal | None
    currency: str = "RUB"
    responsible_id: int = 0
    contact_ids: list[int] = field(default_factory=list)
    company_id: int | None = None
    loss_reason_id: int | None = None
    channel: str | None = None
    utm: dict[str, str] = field(default_factory=dict)  # source, medium, campaign, content, term as they came
    tags: Sequence[str] = ()
    created_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    updated_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    closed_at: datetime | None = None
    created_by: int = ROBOT
    updated_by: int = ROBOT
    is_deleted: bool = False
    rows: list[ProductRow] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class StoredFile:
    """A file in the CRM; `uuid` is also the unguessable part of its download address."""

    id: int
    uuid: str
    name: str
    mime_type: str
    content: bytes


@dataclass(slots=True)
class Note:
    """One entry of a deal's (or other entity's) timeline. kind: common | attachment | mail | call_in | …"""

    id: int
    entity: EntityType
    entity_id: int
    kind: str
    text: str
    created_by: int
    created_at: datetime
    updated_at: datetime
    file_ids: Sequence[int] = ()
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Task:
    id: int
    text: str
    responsible_id: int
    due_at: datetime
    entity: EntityType | None
    entity_id: int | None
    created_by: int
    created_at: datetime
    updated_at: datetime
    is_done: bool = False
    result: str = ""
    kind: int = 1
    description: str = ""


@dataclass(slots=True)
class Notice:
    """A message to a user inside the CRM (Bitrix24: notification, chat message)."""

    id: int
    user_id: int
    text: str
    at: datetime
    kind: str = "notify"


class HistoryRow(NamedTuple):
    """One stage change, the creation too (`from_stage` None). Ids ascend with time."""

    id: int
    deal_id: int
    at: datetime
    from_pipeline_id: int | None
    from_stage: str | None
    to_pipeline_id: int
    to_stage: str
    by: int


@dataclass(frozen=True, slots=True)
class Change:
    """What listeners hear. `before` is a copy of the entity before the change, None for an addition.

    `fields` names the attributes that differ; empty for add and delete. `system` is True for changes made by
    robots and imports (Bitrix24 sends no tokens with those).
    """

    entity: EntityType
    action: ChangeAction
    entity_id: int
    before: Any
    after: Any
    fields: tuple[str, ...]
    by: int
    at: datetime

    @property
    def system(self) -> bool:
        return self.by == ROBOT


Listener = Callable[[Change], None]


class UnknownEntity(LookupError):
    """No such deal, contact, stage …; the dialect turns it into its own «not found»."""


class _TableOf(Generic[V]):
    """An attribute of `Portal` that is a `Table`, whatever mapping is put there."""

    def __set_name__(self, owner: type[Portal], name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, portal: Portal, owner: type[Portal]) -> Table[V]:
        table: Table[V] = getattr(portal, self._name)
        return table

    def __set__(self, portal: Portal, rows: Mapping[int, V]) -> None:
        setattr(portal, self._name, Table(rows))
        portal.index.forget()
        portal.queries.forget()


class Portal:
    """All state of one sandbox account. Thread-safe: every public method takes the lock itself.

    `dialect` is «amocrm» or «bitrix24» and decides stage codes only. `clock` may be shared by several.
    Listeners are called after the change, outside of any iteration but under the lock: they must only put the
    change into a queue.
    """

    deals = _TableOf[Deal]()
    contacts = _TableOf[Contact]()
    companies = _TableOf[Company]()
    tasks = _TableOf[Task]()
    notes = _TableOf[Note]()
    files = _TableOf[StoredFile]()
    notices = _TableOf[Notice]()

    def __init__(
        self,
        dialect: Literal["amocrm", "bitrix24"],
        *,
        name: str,
        timezone: str,
        currency: str = "RUB",
        clock: MovingClock | None = None,
    ) -> None:
        self.dialect = dialect
        self.name = name
        self.timezone = timezone
        self.currency = currency
        self.lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._next_id: dict[str, int] = {}
        self.index = Indexes(self)
        self.queries = Queries(self)
        self.users: dict[int, User] = {}
        self.pipelines: dict[int, Pipeline] = {}
        self.loss_reasons: dict[int, str] = {}
        self.channels: dict[str, str] = {}
        self.deals, self.contacts, self.companies = {}, {}, {}
        self.tasks, self.notes, self.files, self.notices = {}, {}, {}, {}
        self.history: Log[HistoryRow] = Log()
        self.clock = clock or MovingClock()
        #: Grows with every change; the board polls it.
        self.revision = 0

    @property
    def time_shift(self) -> timedelta:
        """How far the portal's clock is from the machine's."""
        return self.clock.shift

    @time_shift.setter
    def time_shift(self, value: timedelta) -> None:
        self.clock.shift = value

    def now(self) -> datetime:
        """The present by the portal's clock; aware UTC, whole seconds."""
        return self.clock.now().replace(microsecond=0)

    @property
    def version(self) -> object:
        """Differs from what it was whenever anything of the account may have changed."""
        return self.revision, self.queries.forgotten, sum(self._next_id.values())

    def teams(self) -> dict[str, int]:
        """Names of the teams that people are in, in their order, with a number from 1 for each."""
        names = sorted({user.team for user in self.users.values() if user.team})
        return {name: number for number, name in enumerate(names, 1)}

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def new_id(self, kind: str, start: int = 1) -> int:
        """The next id of that kind; never used twice."""
        with self.lock:
            value = self._next_id.get(kind, start)
            self._next_id[kind] = value + 1
            return value

    def reserve_ids(self, kind: str, highest: int) -> None:
        """Ids up to `highest` are taken (after an import)."""
        with self.lock:
            self._next_id[kind] = max(self._next_id.get(kind, 1), highest + 1)

    def stage(self, pipeline_id: int, code: str) -> Stage:
        pipeline = self.pipelines.get(pipeline_id)
        found = next((s for s in pipeline.stages if s.code == code), None) if pipeline else None
        if found is None:
            raise UnknownEntity(f"stage {code} of pipeline {pipeline_id}")
        return found

    def add_deal(self, deal: Deal, *, by: int) -> Deal:
        """Store a new deal (its id 0 means «give it one») and write its first line of history."""
        with self.lock:
            now = self.now()
            stage = self.stage(deal.pipeline_id, deal.stage)
            stored = replace(
                deal,
                id=deal.id or self.new_id("deal"),
                created_at=deal.created_at if deal.created_at.year > 1970 else now,
                updated_at=deal.updated_at if deal.updated_at.year > 1970 else now,
                created_by=by,
                updated_by=by,
                closed_at=deal.closed_at or (now if stage.kind != "open" else None),
            )
            self.deals[stored.id] = stored
            self._write_history(stored, None, by, now)
            self._tell(Change("deal", "add", stored.id, None, stored, (), by, now))
            return stored

    def update_deal(self, deal_id: int, changes: dict[str, Any], *, by: int) -> Deal:
        """Change attributes of a deal; one that differs in nothing changes nothing and tells nobody.

        A move to a won or lost stage sets `closed_at`, a move out of it clears it and the loss reason.
        """
        with self.lock:
            deal = self.deals.get(deal_id)
            if deal is None or deal.is_deleted:
                raise UnknownEntity(f"deal {deal_id}")
            now = self.now()
            wanted = dict(changes)
            moved_to = (wanted.get("pipeline_id", deal.pipeline_id), wanted.get("stage", deal.stage))
            if moved_to != (deal.pipeline_id, deal.stage):
                kind = self.stage(*moved_to).kind
                wanted.setdefault("closed_at", now if kind != "open" else None)
                if kind != "lost":
                    wanted.setdefault("loss_reason_id", None)
            fields = tuple(sorted(name for name, value in wanted.items() if getattr(deal, name) != value))
            if not fields:
                return deal
            before = replace(deal)
            values = {"updated_at": now, "updated_by": by, **{name: wanted[name] for name in fields}}
            after = replace(deal, **values)
            self.deals[deal_id] = after
            if "stage" in fields or "pipeline_id" in fields:
                self._write_history(after, before, by, now)
            self._tell(Change("deal", "update", deal_id, before, after, fields, by, now))
            return after

    def delete_deal(self, deal_id: int, *, by: int) -> None:
        with self.lock:
            deal = self.deals.get(deal_id)
            if deal is None or deal.is_deleted:
                raise UnknownEntity(f"deal {deal_id}")
            now = self.now()
            after = replace(deal, is_deleted=True, updated_at=now, updated_by=by)
            self.deals[deal_id] = after
            self._tell(Change("deal", "delete", deal_id, deal, after, (), by, now))

    def restore_deal(self, deal_id: int, *, by: int) -> Deal:
        """Take a deal out of the trash; told as an update of `is_deleted`."""
        with self.lock:
            deal = self.deals.get(deal_id)
            if deal is None or not deal.is_deleted:
                raise UnknownEntity(f"deal {deal_id} in the trash")
            now = self.now()
            after = replace(deal, is_deleted=False, updated_at=now, updated_by=by)
            self.deals[deal_id] = after
            self._tell(Change("deal", "update", deal_id, deal, after, ("is_deleted",), by, now))
            return after

    def add(self, entity: EntityType, value: Any, *, by: int) -> Any:
        """Store a new contact, company, task or note (its id 0 means «give it one»)."""
        with self.lock:
            stored = value if value.id else replace(value, id=self.new_id(entity))
            if hasattr(stored, "created_at") and stored.created_at.year == 1970:
                stored = replace(stored, created_at=self.now(), updated_at=self.now())
            self.table(entity)[stored.id] = stored
            self._tell(Change(entity, "add", stored.id, None, stored, (), by, self.now()))
            return stored

    def update(self, entity: EntityType, entity_id: int, changes: dict[str, Any], *, by: int) -> Any:
        """Change attributes of a contact, company, task or note; nothing different, nothing told."""
        with self.lock:
            old = self.table(entity).get(entity_id)
            if old is None:
                raise UnknownEntity(f"{entity} {entity_id}")
            fields = tuple(sorted(name for name, value in changes.items() if getattr(old, name) != value))
            if not fields:
                return old
            now = self.now()
            new = replace(old, **{"updated_at": now, **changes})
            self.table(entity)[entity_id] = new
            self._tell(Change(entity, "update", entity_id, old, new, fields, by, now))
            return new

    def delete(self, entity: EntityType, entity_id: int, *, by: int) -> None:
        """Remove a contact, company, task or note for good; deals have `delete_deal`."""
        with self.lock:
            old = self.table(entity).pop(entity_id, None)
            if old is None:
                raise UnknownEntity(f"{entity} {entity_id}")
            self._tell(Change(entity, "delete", entity_id, old, old, (), by, self.now()))

    def add_file(self, file: StoredFile) -> StoredFile:
        with self.lock:
            stored = replace(file, id=file.id or self.new_id("file"))
            self.files[stored.id] = stored
            return stored

    def add_notice(self, user_id: int, text: str, kind: str = "notify") -> Notice:
        with self.lock:
            notice = Notice(self.new_id("notice"), user_id, text, self.now(), kind)
            self.notices[notice.id] = notice
            self.revision += 1
            return notice

    def load_history(self, rows: Iterable[HistoryRow]) -> None:
        """Put in past stage changes without telling anybody; ids must ascend."""
        with self.lock:
            self.history.extend(rows)
            self.revision += 1
            if self.history:
                self.reserve_ids("history", self.history[-1].id)

    def table(self, entity: EntityType) -> Table[Any]:
        """The table of that kind of entity."""
        tables: dict[str, Table[Any]] = {
            "deal": self.deals,
            "contact": self.contacts,
            "company": self.companies,
            "task": self.tasks,
            "note": self.notes,
        }
        return tables[entity]

    def _write_history(self, deal: Deal, before: Deal | None, by: int, at: datetime) -> None:
        self.history.append(
            HistoryRow(
                self.new_id("history"),
                deal.id,
                at,
                before.pipeline_id if before else None,
                before.stage if before else None,
                deal.pipeline_id,
                deal.stage,
                by,
            )
        )

    def _tell(self, change: Change) -> None:
        self.revision += 1
        for listener in self._listeners:
            listener(change)
