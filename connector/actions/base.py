"""What an action is given and what it gives back. One module an action; the table is in `table.py`.

An action may run again after a crash at any line: it first looks for what an earlier attempt left behind
(`effect.may_exist`, the archive, the deliveries) and adds only what is missing.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.delivery.base import Channel
from connector.documents.kit import Kit
from connector.documents.render import RenderPool
from connector.domain import CrmFile, DealCard, User
from connector.errors import HeldError, RenderError
from connector.playbook.model import Playbook
from connector.reports.recipients import Recipient, resolve
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from connector.store.facts import AccountRow, Directory
from connector.store.outbox import Effect


@dataclass(frozen=True, slots=True)
class Tools:
    """All that an action may use, for one account.

    `card` reads the deal of an effect; what it gives is never older than the effect itself. `sender` is the
    address that letters come from; `document_url` gives the address of a document's page for the client,
    `pay_url` where he pays it, None where he cannot.
    """

    db: Database
    clock: Clock
    client: CrmClient
    directory: Directory
    account_row: AccountRow
    playbook: Playbook
    card: Callable[[Effect], DealCard]
    kit: Kit
    render_pool: RenderPool
    email: Channel
    sender: str
    document_url: Callable[[ArchivedDocument], str]
    pay_url: Callable[[ArchivedDocument], str | None] = lambda _: None

    @property
    def today(self) -> date:
        """The day in the account's time zone."""
        return self.clock.now().astimezone(ZoneInfo(self.account_row.timezone)).date()

    def responsible(self, card: DealCard) -> User | None:
        return self.directory.users.get(card.deal.responsible_id or "")

    def names_of(self, card: DealCard) -> tuple[str, str]:
        """Names of the deal's pipeline and stage, as people see them."""
        pipeline = self.directory.pipelines.get(card.deal.pipeline_id)
        stage = self.directory.stage(card.deal.pipeline_id, card.deal.stage_id)
        return pipeline.name if pipeline else "", stage.name if stage else ""

    def recipient(self, role: str) -> Recipient:
        """Who has a role of the playbook, as a user of this CRM and as an address. Raises HeldError."""
        found = resolve(self.playbook.people, list(self.directory.users.values())).get(role)
        if found is None:
            raise HeldError(f"в разделе people не сказано, кто такой «{role}»")
        return found

    def material(self, name: str) -> CrmFile:
        """A file of the kit («materials/price.pdf»). Raises RenderError when there is none."""
        content = self.kit.files.get(name)
        if content is None:
            raise RenderError(name, "нет такого файла")
        mime_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return CrmFile(name.rpartition("/")[2], content, mime_type)


#: Runs one effect; returns what is worth remembering of it, as JSON. Raises HeldError, CrmError, RetryLater,
#: DeliveryError or RenderError.
ActionRunner = Callable[[Effect, Tools], Mapping[str, Any]]


def search_from(effect: Effect) -> datetime:
    """Traces of this effect in the CRM cannot be older than this; CRMs round to whole seconds."""
    return effect.created_at.replace(microsecond=0)
