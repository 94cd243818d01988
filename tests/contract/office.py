"""A client, the portal behind it and small helpers, for the contract tests of the CRMs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from connector.clock import Clock, SystemClock
from connector.crm.base import CrmClient
from connector.crm.http import RateLimiter
from connector.domain import Deal, Outcome
from connector.sandbox.app import Sandbox
from connector.sandbox.state import Deal as PortalDeal
from connector.sandbox.state import Portal
from tests.crm.limiter import Turnstile

SECRET = "hook-secret-0000000000"


@dataclass
class Office:
    """A client, the portal behind it, and the sandbox around both."""

    crm: str
    client: CrmClient
    portal: Portal
    sandbox: Sandbox
    limiter: Turnstile
    again: Callable[[RateLimiter, Clock], CrmClient]

    @property
    def user_id(self) -> str:
        return str(next(user.id for user in self.portal.users.values() if not user.is_admin))


class PatientClock(SystemClock):
    """The machine's time, but waits take none of it."""

    def sleep(self, duration: timedelta) -> None:
        return


def some_deals(portal: Portal, chosen: Callable[[PortalDeal], object], count: int = 5) -> list[PortalDeal]:
    found = [deal for deal in portal.deals.values() if not deal.is_deleted and chosen(deal)]
    assert found, "the sandbox's history has no such deal"
    return found[:count]


def seen(office: Office, deal: PortalDeal) -> Deal:
    found = office.client.deal(str(deal.id))
    assert found is not None
    return found


def outcome_of(portal: Portal, deal: PortalDeal) -> Outcome:
    return Outcome(portal.stage(deal.pipeline_id, deal.stage).kind)


def whole_roubles(office: Office, amount: Decimal | None) -> Decimal | None:
    """amoCRM's budget is a whole number, and neither CRM tells an empty amount from 0."""
    if not amount:
        return None
    return Decimal(int(amount)) if office.crm == "amocrm" else amount


def first_stage(portal: Portal) -> tuple[int, str]:
    pipeline = next(iter(portal.pipelines.values()))
    return pipeline.id, next(stage.code for stage in pipeline.stages if stage.kind == "open")


def fresh_deal(office: Office, **more: Any) -> PortalDeal:
    pipeline_id, stage = first_stage(office.portal)
    return office.portal.add_deal(
        PortalDeal(0, "Кофе", pipeline_id, stage, amount=Decimal(1000), **more), by=int(office.user_id)
    )
