"""The words all modules share: what a deal, a stage or an event is. Frozen data, no I/O, no CRM's own names.

All identifiers are strings: amoCRM numbers its stages, Bitrix24 names them (`C5:WON`). Times are aware UTC,
money is Decimal in units of the currency named beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal


class Outcome(StrEnum):
    """How a deal stands; decided by its stage."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a pipeline. The key is (pipeline_id, id): amoCRM shares 142 and 143 between pipelines."""

    pipeline_id: str
    id: str
    name: str
    sort: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline with its stages in their order; won and lost stages come last."""

    id: str
    name: str
    stages: tuple[Stage, ...]
    is_main: bool = False

    def stage(self, stage_id: str) -> Stage | None:
        return next((stage for stage in self.stages if stage.id == stage_id), None)


@dataclass(frozen=True, slots=True)
class User:
    """A person who works in the CRM. `team`: the group or department, "" where the CRM tells none.

    `timezone`: an IANA name, "" for that of the account.
    """

    id: str
    name: str
    email: str = ""
    is_active: bool = True
    is_admin: bool = False
    team: str = ""
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class LossReason:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Requisites:
    """A legal entity's details as the CRM holds them; an empty string is «not filled in»."""

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


@dataclass(frozen=True, slots=True)
class Contact:
    """A client's person. `fields` holds custom fields by the name that people see in the CRM."""

    id: str
    name: str
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    post: str = ""
    is_main: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Company:
    """A client's company."""

    id: str
    name: str
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    requisites: Requisites = Requisites()
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One line of a deal. `price` is per unit, after discount, VAT included.

    `vat_rate` is a percentage (22 means 22 %); None means that the CRM does not say, so the seller's own
    rate applies. `is_vat_free`: sold without VAT whoever sells it, which is not 0 %. `discount` is what was
    taken off one unit's price. `net_price` and `net_discount` are both without VAT, where the CRM adds it
    on top; None where its price includes it. A price that is not filled in is NaN.
    """

    name: str
    quantity: Decimal
    price: Decimal
    unit: str = "шт."
    discount: Decimal = Decimal(0)
    vat_rate: Decimal | None = None
    is_vat_free: bool = False
    net_price: Decimal | None = None
    net_discount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Deal:
    """A possible sale as the CRM shows it now. `amount` is None when the field is empty.

    `is_amount_whole`: the CRM keeps no kopecks in it, so they are known from the product rows alone.
    `moved_at`: when it came to its stage; None where the CRM does not say.
    """

    account: str
    id: str
    name: str
    pipeline_id: str
    stage_id: str
    outcome: Outcome
    amount: Decimal | None
    currency: str
    responsible_id: str | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    moved_at: datetime | None = None
    contact_ids: tuple[str, ...] = ()
    company_id: str | None = None
    loss_reason_id: str | None = None
    channel: str | None = None
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    tags: tuple[str, ...] = ()
    is_deleted: bool = False
    changed_by: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    is_amount_whole: bool = False


@dataclass(frozen=True, slots=True)
class DealMark:
    """Where a walk over all deals stopped: the last deal that it gave, as it was then."""

    deal_id: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DealCard:
    """A deal with all that a document about it needs."""

    deal: Deal
    contacts: tuple[Contact, ...] = ()
    company: Company | None = None
    rows: tuple[ProductRow, ...] = ()

    @property
    def main_contact(self) -> Contact | None:
        """The contact marked as main, else the first."""
        return next((c for c in self.contacts if c.is_main), self.contacts[0] if self.contacts else None)


@dataclass(frozen=True, slots=True)
class StageChange:
    """One move of one deal. `from_stage_id` is None for the creation.

    `event_id` is stable for the same move however often it is read, so it is the key of the fact. The order
    inside a deal is (at, event_id).
    """

    event_id: str
    deal_id: str
    at: datetime
    to_pipeline_id: str
    to_stage_id: str
    from_pipeline_id: str | None = None
    from_stage_id: str | None = None
    changed_by: str | None = None


class ActivityKind(StrEnum):
    """What a manager and a client did together, or what was written about it."""

    CALL = "call"
    MEETING = "meeting"
    EMAIL = "email"
    MESSAGE = "message"
    NOTE = "note"


class Direction(StrEnum):
    """Who began: the client (in) or we (out)."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Activity:
    """A call, a meeting, a letter, a message or a note in the CRM.

    `id` is stable and unique among the account's activities of all kinds. `happened_at` is None for what has
    not taken place: a meeting that is planned, or was cancelled (`is_cancelled`). `planned_at` is a meeting's
    agreed start. `answered` and `duration_s` are a call's. Empty `deal_ids`: it belongs to a contact or
    company alone; of several deals the first is the one it was made in.
    """

    id: str
    kind: ActivityKind
    created_at: datetime
    updated_at: datetime
    deal_ids: tuple[str, ...] = ()
    contact_ids: tuple[str, ...] = ()
    company_ids: tuple[str, ...] = ()
    responsible_id: str | None = None
    direction: Direction | None = None
    planned_at: datetime | None = None
    happened_at: datetime | None = None
    is_cancelled: bool = False
    answered: bool | None = None
    duration_s: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class CrmTask:
    """A task that a person has in the CRM; `completed_at` is None while it is open.

    `is_meeting`: it is an agreed meeting and stands among the activities too.
    """

    id: str
    deal_id: str | None
    text: str
    responsible_id: str | None
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None = None
    completed_at: datetime | None = None
    result: str = ""
    is_meeting: bool = False


class InvoiceStatus(StrEnum):
    ISSUED = "issued"
    PAID = "paid"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class CrmInvoice:
    """An invoice that was made in the CRM itself, not by us."""

    id: str
    deal_id: str | None
    number: str
    amount: Decimal
    currency: str
    status: InvoiceStatus
    issued_at: datetime
    updated_at: datetime
    paid_at: datetime | None = None
    responsible_id: str | None = None


@dataclass(frozen=True, slots=True)
class IncomingLead:
    """An enquiry that nobody has taken yet: amoCRM's «Неразобранное», a lead of Bitrix24 that is new.

    `kind` says where from: form, chat, mail, call, other. `deal_id` is set where a deal stands behind it
    already.
    """

    id: str
    kind: str
    created_at: datetime
    pipeline_id: str | None = None
    channel: str | None = None
    name: str = ""
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    text: str = ""
    deal_id: str | None = None


@dataclass(frozen=True, slots=True)
class CustomField:
    """A field that the company added. `entity`: deal, contact, company. `kind` in our words: text, number,
    flag, date, moment, choice, choices, url, money, file, person, other. `options`: value id to the name
    that people see.
    """

    entity: str
    id: str
    name: str
    kind: str
    options: Mapping[str, str] = field(default_factory=dict)
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """A thing of the CRM's catalogue; `price` is for one unit, VAT included."""

    id: str
    name: str
    price: Decimal | None
    currency: str
    unit: str = "шт."
    sku: str = ""
    vat_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class DealChanges:
    """What to change in a deal: None and empty collections leave things as they are.

    `fields`: custom fields by the name that people see, or by id; "" clears one.
    """

    name: str | None = None
    pipeline_id: str | None = None
    stage_id: str | None = None
    amount: Decimal | None = None
    responsible_id: str | None = None
    loss_reason_id: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deal that the CRM says is gone; `merged_into` names the deal that took it in."""

    deal_id: str
    at: datetime
    merged_into: str | None = None


class EventKind(StrEnum):
    """What a CRM can tell us, in our words."""

    DEAL_ADDED = "deal.added"
    DEAL_CHANGED = "deal.changed"
    DEAL_STAGE_CHANGED = "deal.stage_changed"
    DEAL_DELETED = "deal.deleted"
    CONTACT_CHANGED = "contact.changed"
    COMPANY_CHANGED = "company.changed"
    ACTIVITY_CHANGED = "activity.changed"
    ACTIVITY_DELETED = "activity.deleted"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class CrmEvent:
    """A hint that something changed: read it back before believing it.

    `dedup` is equal for two deliveries of the same notice. `note` says what an event of kind OTHER was.
    `entity_id` of a deleted activity or task is its `Activity.id` or `CrmTask.id`; that of a changed one is
    for the record only.
    """

    kind: EventKind
    entity_id: str
    dedup: str
    at: datetime | None = None
    note: str = ""


#: Start of the note of an event that asks for one rule by its name: a robot in the CRM's own automation.
RULE_ASKED = "rule: "

#: Start of the key of an event that its sender gave a mark of its own: equal keys are one call, at any time.
CALL_KEY = "call:"


@dataclass(frozen=True, slots=True)
class CrmFile:
    """A file to put into the CRM; `name` is what people see there."""

    name: str
    content: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """What a CRM says of the account and of the credentials in use."""

    account_id: str
    name: str
    timezone: str
    currency: str
    user_id: str
    user_name: str
    is_admin: bool


@dataclass(frozen=True, slots=True)
class OAuthGrant:
    """What an account's owner let us do: a pair of tokens and where they are good.

    `base_url` is what calls begin with; `account_id` the CRM's own id of the account (Bitrix24's member_id);
    `server_url` the OAuth server that renews the pair, "" for the usual one.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    obtained_at: datetime
    expires_at: datetime
    base_url: str
    account_id: str = ""
    server_url: str = ""


#: Why a person has to act: consent was taken back, the pair was lost between the CRM's answer and our
#: writing, the CRM does not know our client id and secret, it refuses a token it has just given, the
#: application was removed, the portal's licence is over.
GrantProblem = Literal["revoked", "lost", "client", "refused", "removed", "unpaid"]


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant as it is kept. `version` changes with each new pair; `problem_at` is when it was last seen."""

    grant: OAuthGrant
    version: int
    problem: GrantProblem | None = None
    problem_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RenewalClaim:
    """The right to renew a pair, which one process has at a time.

    `interrupted_at`: when an earlier renewal of the same pair began that never ended, None if there was none.
    """

    owner: str
    interrupted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open local days [start, end) in the account's time zone."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"period ends before it starts: {self.start}..{self.end}")


#: Tag of the deal that carries the connector's own reports: it counts in no figure and starts no rule.
SERVICE_TAG = "connector-service"
