"""What the rest of the product may ask of a CRM. One class a CRM implements it, in its own folder.

Nothing above this package sees a CRM's own JSON, field name or error body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

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


@dataclass(frozen=True, slots=True)
class Subscription:
    """What `connect` found or made. `created` is False when the webhook was there already.

    `manual_steps` are sentences in Russian for what the CRM lets only a person do.
    """

    destination: str
    created: bool
    manual_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events that the CRM kept for us; `id` is what `confirm_events` gives back."""

    id: str
    events: tuple[CrmEvent, ...]


class Past(Protocol):
    """What happened around deals, for facts and reports. Each reads a page at a time, oldest change first."""

    def activities(
        self, *, since: datetime | None = None, deal_id: str | None = None, brief: bool = False
    ) -> Iterator[Activity]:
        """Calls, meetings, letters, messages and notes made or changed at or after `since`.

        brief: without notes, and of what was made in a deal not what else it is bound to; all of them come
        oldest change first then.
        """

    def tasks(self, *, since: datetime | None = None, deal_id: str | None = None) -> Iterator[CrmTask]:
        """Tasks of deals made or changed at or after `since`."""

    def invoices(self, *, since: datetime | None = None) -> Iterator[CrmInvoice]:
        """The CRM's own invoices made or changed at or after `since`."""

    def deletions(self, *, since: datetime) -> Iterator[Deletion]:
        """Deals deleted or merged away at or after `since`; nothing where the CRM does not tell."""

    def existing(self, deal_ids: Sequence[str]) -> set[str]:
        """Those of `deal_ids` that the CRM still has: what is missing was deleted or merged away."""

    def existing_activities(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids of activities and tasks that the CRM still has, or of which it cannot tell."""


class ChangeLog(Protocol):
    """The CRM's own log of changes, for what webhooks did not tell."""

    def told_since(self, since: datetime) -> Iterator[CrmEvent]:
        """What webhooks should have told of deals at or after `since`, whoever did it, oldest first.

        Creations, moves, changes, deletions and restorations; reading it twice gives equal `dedup`. Nothing
        where the CRM keeps no such log.
        """


class Directory(Protocol):
    """What an account's people have set up."""

    def custom_fields(self, entity: str) -> list[CustomField]:
        """Fields of a deal, contact or company that the company added."""

    def products(self) -> Iterator[Product]:
        """The catalogue, a page at a time."""


class DealWriter(Protocol):
    """Changes to deals. Only what differs from the CRM's present state is sent."""

    def update_deal(self, deal_id: str, changes: DealChanges) -> bool:
        """Make `changes`; False when the deal is like that already. CrmError says what the CRM refused."""


class IncomingLeads(Protocol):
    """Enquiries that nobody has taken yet."""

    def incoming(self, *, since: datetime | None = None) -> Iterator[IncomingLead]:
        """Enquiries that wait, oldest first."""

    def accept_incoming(self, lead_id: str, *, responsible_id: str | None, stage_id: str | None) -> str:
        """Make it a deal; the deal's id. Accepting one twice gives the same deal."""

    def decline_incoming(self, lead_id: str) -> None:
        """Turn it down; one that is gone already is no error."""


class EventQueue(Protocol):
    """Events that the CRM keeps until they are taken (Bitrix24's offline events)."""

    def queued_events(self) -> EventBatch | None:
        """The oldest events that wait; None when there are none or the CRM keeps none."""

    def confirm_events(self, batch: EventBatch) -> None:
        """They are stored on our side: the CRM may drop them."""


class Extras(Protocol):
    """Things that one CRM has and the other may lack: None or False then."""

    def payment_link(self, deal_id: str, amount: Decimal) -> str | None:
        """An address of the CRM's own where the client can pay, or None."""

    def start_automation(self, automation_id: str, deal_id: str) -> bool:
        """Start a Salesbot or a business process on the deal; False where the CRM has no such things.

        CrmError kind rejected when it has none of that id. Never repeated by itself: it leaves no trace.
        """

    def show_page(self, address: str) -> bool:
        """Open `address` in a tab of every deal; False where the CRM has no such tab or lets us make none."""

    def is_subscribed(self, destination: str) -> bool | None:
        """Whether the CRM still calls `destination`; None where it cannot be asked."""


class CrmClient(Past, ChangeLog, Directory, DealWriter, IncomingLeads, EventQueue, Extras, Protocol):
    """One account's CRM, with all that the capabilities above promise.

    Every method raises `CrmError`; a used-up rate limit raises `RetryLater`. Methods that create take
    `may_exist`: True when an earlier attempt may have got through, so the client looks for its own trace
    first and returns that one's id instead of making a second. `since` bounds that search: older things
    with the same text belong to earlier work.
    """

    account: str

    def account_info(self) -> AccountInfo: ...

    def pipelines(self) -> list[Pipeline]: ...

    def users(self) -> list[User]: ...

    def loss_reasons(self) -> list[LossReason]: ...

    def deal(self, deal_id: str) -> Deal | None:
        """The deal as it is now; None when the CRM has no such deal (any more)."""

    def card(self, deal: Deal) -> DealCard:
        """The deal with its contacts, company, requisites and product rows."""

    def deals(
        self, updated_since: datetime | None = None, *, after: DealMark | None = None
    ) -> Iterator[Deal]:
        """All deals, or those changed at or after `updated_since`; a page at a time.

        They come in an order of the CRM's own in which a walk can go on: `after` is the last deal that an
        earlier walk gave, as it was then. Deals that changed between the two walks may be left out.
        """

    def deal_count(self) -> int | None:
        """About how many deals there are, for showing how far a walk is; None where the CRM does not tell."""

    def contacts_of(self, deals: Iterable[Deal]) -> Iterator[tuple[Deal, tuple[Contact, ...]]]:
        """The deals in their order, each with its contacts, the main one first: many in one request.

        Made for long reads: `deals` is read on while contacts are on their way.
        """

    def stage_changes(
        self, *, deal_id: str | None = None, since: datetime | None = None
    ) -> Iterator[StageChange]:
        """The CRM's own history of moves, of one deal or of all, at or after `since`, oldest first."""

    def deals_of(self, *, contact_id: str | None = None, company_id: str | None = None) -> list[str]:
        """Ids of the deals linked with a contact or a company."""

    def add_note(
        self,
        deal_id: str,
        text: str,
        *,
        files: Sequence[CrmFile] = (),
        may_exist: bool = False,
        since: datetime,
    ) -> str:
        """Put a note with files into the deal's timeline; its id."""

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
        """Give a person a task bound to the deal; its id.

        Without a deal it is about the installation itself (amoCRM: bound to the service deal, see
        `post_report`).
        """

    def task_answer(self, task_id: str) -> str | None:
        """What the person wrote when closing a task that we gave; "" for no word, or a task that is gone.

        None while the task is open.
        """

    def complete_task(self, task_id: str, result: str) -> None:
        """Close a task that we gave; a task that is gone or closed already is no error."""

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
        """Put a report where that person sees it by himself; an id of what was made.

        Bitrix24: notification and message. amoCRM: note on the service deal and a task for the person. «» is
        everybody: Bitrix24's live feed, amoCRM's note without a task.
        """

    def subscribe(self, destination: str) -> Subscription:
        """Make the CRM call `destination` when deals, contacts and companies change."""


class WebhookParser(Protocol):
    """Turns one delivery of a CRM into events; pure."""

    def __call__(self, body: bytes, content_type: str) -> WebhookBody: ...


@dataclass(frozen=True, slots=True)
class OpenedPage:
    """Somebody opened our tab in a deal. `token` is compared with the application's before anything is shown.

    `account_id` is the CRM's own id of the account.
    """

    account_id: str
    deal_id: str
    token: str = field(repr=False)


class PageParser(Protocol):
    """Reads what the CRM sends when somebody opens our tab; pure. Raises `BadWebhook`."""

    def __call__(self, body: bytes, content_type: str) -> OpenedPage: ...


@dataclass(frozen=True, slots=True)
class WebhookBody:
    """A delivery, read. Raises `BadWebhook` instead when the body is not this CRM's.

    `token` is the secret that the body itself carries (Bitrix24's application_token), "" where there is none.
    `account_id` is the CRM's own id of the sender. `payload` is what may be stored: tokens are left out.
    """

    events: tuple[CrmEvent, ...]
    account_id: str
    token: str
    payload: Mapping[str, object]
