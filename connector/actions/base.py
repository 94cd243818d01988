"""What an action is given and what it gives back. One module an action; the table is in `table.py`.

An action may run again after a crash at any line: it first looks for what an earlier attempt left behind
(`effect.may_exist`, the archive, the deliveries) and adds only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.clock import Clock
from connector.config import MailConfig
from connector.crm.base import CrmClient
from connector.delivery.email import EmailChannel
from connector.documents.kit import Kit
from connector.documents.render import RenderPool
from connector.domain import DealCard, User
from connector.store.database import Database
from connector.store.facts import AccountRow, Directory
from connector.store.outbox import Effect


@dataclass(frozen=True, slots=True)
class Tools:
    """All that an action may use, for one account.

    `card` reads the deal of an effect; what it gives is never older than the effect itself.
    """

    db: Database
    clock: Clock
    client: CrmClient
    directory: Directory
    account_row: AccountRow
    card: Callable[[Effect], DealCard]
    kit: Kit
    render_pool: RenderPool
    email: EmailChannel
    mail: MailConfig

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.account_row.timezone)

    def responsible(self, card: DealCard) -> User | None:
        return self.directory.users.get(card.deal.responsible_id or "")

    def names_of(self, card: DealCard) -> tuple[str, str]:
        """Names of the deal's pipeline and stage, as people see them."""
        pipeline = self.directory.pipelines.get(card.deal.pipeline_id)
        stage = self.directory.stage(card.deal.pipeline_id, card.deal.stage_id)
        return pipeline.name if pipeline else "", stage.name if stage else ""


#: Runs one effect; returns what is worth remembering of it, as JSON. Raises HeldError, CrmError, RetryLater,
#: DeliveryError or RenderError.
ActionRunner = Callable[[Effect, Tools], Mapping[str, Any]]


def search_from(effect: Effect) -> datetime:
    """Traces of this effect in the CRM cannot be older than this; CRMs round to whole seconds."""
    return effect.created_at.replace(microsecond=0)
