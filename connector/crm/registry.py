"""The table of CRMs: a new one is a folder, its fixtures, a sandbox module and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm.amocrm.client import AmoCrmClient
from connector.crm.amocrm.oauth import AmoOAuth
from connector.crm.amocrm.webhook import parse_webhook as parse_amocrm
from connector.crm.base import CrmClient, PageParser, WebhookParser
from connector.crm.bitrix24.client import Bitrix24Client
from connector.crm.bitrix24.oauth import B24OAuth
from connector.crm.bitrix24.placements import read_opened
from connector.crm.bitrix24.webhook import parse_webhook as parse_bitrix24
from connector.crm.consent import OAuthServer
from connector.crm.http import MAX_TURN_WAIT, RateLimiter
from connector.crm.tokens import TokenSource


class ClientFactory(Protocol):
    """Builds the client of one account; makes no call yet.

    `patience`: how long a call may wait for its turn before it raises RetryLater. `tokens`: where its
    authorization comes from, in place of what the settings hold.
    """

    def __call__(
        self,
        account: AccountConfig,
        *,
        limiter: RateLimiter,
        clock: Clock,
        patience: timedelta = MAX_TURN_WAIT,
        tokens: TokenSource | None = None,
    ) -> CrmClient: ...


class OAuthFactory(Protocol):
    """Builds the OAuth side of one account; makes no call yet."""

    def __call__(self, account: AccountConfig, *, limiter: RateLimiter, clock: Clock) -> OAuthServer: ...


@dataclass(frozen=True, slots=True)
class CrmAdapter:
    """All that the product needs to know of a CRM. `title` is its name as people write it; `read_opened` is
    there where a tab of ours can stand in a deal; `deal_page`: where a deal opens below the CRM's address;
    `has_tags`: whether deals have tags."""

    name: str
    title: str
    make_client: ClientFactory
    parse_webhook: WebhookParser
    make_oauth: OAuthFactory
    deal_page: str
    read_opened: PageParser | None = None
    has_tags: bool = True


CRMS: Mapping[str, CrmAdapter] = {
    adapter.name: adapter
    for adapter in (
        CrmAdapter("amocrm", "amoCRM", AmoCrmClient, parse_amocrm, AmoOAuth, "/leads/detail/{}"),
        CrmAdapter(
            "bitrix24",
            "Битрикс24",
            Bitrix24Client,
            parse_bitrix24,
            B24OAuth,
            "/crm/deal/details/{}/",
            read_opened,
            has_tags=False,
        ),
    )
}
