"""The port of a CRM's OAuth side: how an account's owner says yes, and how a pair of tokens is renewed.

One class a CRM implements it, in its own folder. Must not know how pairs are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol

from connector.domain import GrantProblem, OAuthGrant
from connector.errors import ConnectorError


class GrantRefused(ConnectorError):
    """The OAuth server turned a code or a pair down for good; `problem` says why. Carries no secret."""

    def __init__(self, problem: GrantProblem, detail: str) -> None:
        self.problem: GrantProblem = problem
        super().__init__(detail)


class ForeignAccount(ConnectorError):
    """A consent of another account than the one in the settings; nothing was stored. The text is Russian."""


class BadSignature(ConnectorError):
    """A call that is not from the CRM: its signature, its token or its shape is wrong."""


@dataclass(frozen=True, slots=True)
class GrantOwner:
    """Whose account and which person a grant stands for, as the CRM itself answers to it."""

    account_id: str
    is_admin: bool


#: Installed, updated or opened: the pair it carries is to be taken over; removed: the pair is dead; test: the
#: portal answers to our own question.
NoticeKind = Literal["installed", "removed", "test", "other"]


@dataclass(frozen=True, slots=True)
class AppNotice:
    """What a portal says of the application itself. Nothing in it is proven yet.

    `refresh_token` is "" where the notice carries none; `application_token` is the installation's secret.
    `state` is what a test brings back. `by_person`: it came from a browser, which waits for a page.
    """

    kind: NoticeKind
    account_id: str
    refresh_token: str = field(repr=False)
    application_token: str = field(repr=False)
    by_person: bool
    state: str = field(repr=False, default="")


class OAuthServer(Protocol):
    """The OAuth side of one account. All methods but the pure ones raise CrmError and RetryLater.

    `renews_ahead`: how long before the access token ends the pair is renewed.
    """

    renews_ahead: timedelta

    def consent_url(self, state: str) -> str:
        """Where a person says yes; pure. `state` comes back with the code."""

    def exchange(self, code: str, *, at: str = "") -> OAuthGrant:
        """The pair for a code. GrantRefused for a bad one. `at`: where the account was seen last."""

    def refresh(self, grant: OAuthGrant) -> OAuthGrant:
        """The next pair; the old one is spent by asking. GrantRefused when it is no longer good."""

    def owner(self, grant: OAuthGrant) -> GrantOwner:
        """Ask the CRM, with the grant, whose it is."""

    def adopt(self, notice: AppNotice) -> OAuthGrant:
        """A pair of our own for the one in an installation's notice, which is thereby proven.

        GrantRefused when it is not of our application, ForeignAccount when the notice names another account.
        """

    def read_notice(self, body: bytes, content_type: str) -> AppNotice:
        """What a portal posts when the application is installed, opened or removed; pure.

        BadWebhook when it is something else.
        """

    def check_switched_off(self, query: Mapping[str, str]) -> None:
        """Pure; BadSignature unless the CRM itself says there that the integration was switched off."""

    def check_home(self, grant: OAuthGrant) -> None:
        """Pure; ForeignAccount unless the grant is good at the address of the settings. For the first consent
        of an account: later its id decides, for an address may change."""

    def listen(self, grant: OAuthGrant, state: str) -> bool:
        """Have the CRM tell of the application's own fate, and send `state` back to prove that it does.

        False where there is nothing to ask for. May be repeated.
        """

    def advice(self, problem: GrantProblem) -> str:
        """Pure: what a person has to do about it, in Russian."""
