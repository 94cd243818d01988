"""From a person's «yes» to a stored grant: consent pages, pasted codes, installations, removals.

A grant is stored only after the CRM itself said whose it is. Must not know any CRM, nor how it is asked.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from connector.crm.consent import AppNotice, BadSignature, ForeignAccount, OAuthServer
from connector.domain import OAuthGrant, StoredGrant
from connector.errors import ConfigError, ConnectorError
from connector.store.database import Database
from connector.store.grants import Grants
from connector.store.jobs import JobQueue

log = logging.getLogger(__name__)

#: What became of a notice: its pair was taken over, it told nothing new, the application is gone, our own
#: question came back.
Outcome = Literal["connected", "known", "removed", "answered", "ignored"]


class NotAdministrator(ConnectorError):
    """Consent was given by somebody whose rights are not enough; nothing was stored. The text is Russian."""


class Consent:
    """Consent of all accounts that are connected by it."""

    def __init__(
        self, db: Database, grants: Grants, servers: Mapping[str, OAuthServer], queue: JobQueue
    ) -> None:
        self._db = db
        self._grants = grants
        self._servers = servers
        self._queue = queue

    def begin(self, account: str) -> str:
        """Where a person says yes. What comes back from there is good once, for half an hour."""
        return self._servers[account].consent_url(self._grants.new_state(account))

    def listen(self, account: str) -> bool:
        """Have the CRM tell of the application's own fate; whether an answer to our question is to come.

        The answer comes to `take_notice` and brings the secret of the installation's events.
        """
        known = self._known(account)
        return known is not None and self._servers[account].listen(
            known.grant, self._grants.new_state(account)
        )

    def finish(self, account: str, state: str, code: str) -> None:
        """A person came back from the consent page. BadSignature when nobody was sent there by us.

        Raises as `take_code` besides.
        """
        if not self._grants.take_state(account, state):
            raise BadSignature("an unknown or used state came back from a consent page")
        self.take_code(account, code)

    def take_code(self, account: str, code: str) -> None:
        """Exchange a code and store the pair.

        GrantRefused for a bad code, ForeignAccount, NotAdministrator; CrmError and RetryLater when the CRM
        cannot be asked.
        """
        known = self._known(account)
        at = known.grant.base_url if known else ""
        self._take(account, self._servers[account].exchange(code, at=at), known)

    def take_notice(self, account: str, notice: AppNotice) -> Outcome:
        """What a portal says of the application.

        BadSignature when it cannot be believed; otherwise raises as `take_code`.
        """
        known = self._known(account)
        match notice.kind:
            case "installed":
                if notice.by_person and known is not None and known.problem is None:
                    return "known"
                if not notice.refresh_token:
                    raise BadSignature("an installation without a pair of tokens")
                pair = self._servers[account].adopt(notice)
                self._take(account, pair, known, notice.application_token)
                return "connected"
            case "removed":
                self._removed(account, known, notice)
                return "removed"
            case "test":
                self._answered(account, known, notice)
                return "answered"
            case _:
                return "ignored"

    def switched_off(self, account: str, query: Mapping[str, str]) -> None:
        """The CRM says that the integration was switched off. BadSignature when it is not the CRM.

        The call can be repeated by whoever has seen it, so it is taken for a hint: the CRM is asked at once,
        and its answer decides.
        """
        self._servers[account].check_switched_off(query)
        log.warning(
            "the CRM says that the integration was switched off",
            extra={"action": "switched_off", "account": account},
        )
        with self._db.begin() as conn:
            self._queue.enqueue(conn, "directory", {}, account=account)

    def _take(
        self, account: str, grant: OAuthGrant, known: StoredGrant | None, application_token: str = ""
    ) -> None:
        server = self._servers[account]
        owner = server.owner(grant)
        if known is not None and known.grant.account_id:
            if owner.account_id != known.grant.account_id:
                raise ForeignAccount(
                    "согласие дано в другом аккаунте CRM, не в том, с которым связан этот аккаунт Коннектора"
                )
        else:
            server.check_home(grant)
        if not owner.is_admin:
            raise NotAdministrator("согласие должен дать администратор CRM: остальным видно не всё")
        grant = replace(grant, account_id=owner.account_id)
        with self._db.begin() as conn:
            self._grants.store(conn, account, grant, application_token=application_token)
            freed = self._queue.hurry(conn, account)
        log.info(
            "consent is stored, %d waiting jobs go on",
            freed,
            extra={"action": "consent_stored", "account": account},
        )

    def _removed(self, account: str, known: StoredGrant | None, notice: AppNotice) -> None:
        """The notice carries no tokens: the secret of the installation is all that proves it."""
        expected = self._grants.application_token(account)
        given = notice.application_token.encode("utf-8", "replace")
        is_ours = bool(expected) and hmac.compare_digest(given, expected.encode())
        if known is None or known.grant.account_id != notice.account_id or not is_ours:
            raise BadSignature("a notice with another application_token")
        text = self._servers[account].advice("removed")
        if self._grants.report(account, known.version, "removed", text):
            extra = {"action": "consent_needed", "account": account, "problem": "removed"}
            log.error(text, extra=extra)

    def _answered(self, account: str, known: StoredGrant | None, notice: AppNotice) -> None:
        """Our own question came back from the portal: the secret with it is the installation's."""
        if known is None or notice.account_id != known.grant.account_id:
            raise BadSignature("a test event of another portal")
        if not self._grants.take_state(account, notice.state):
            raise BadSignature("a test event that nobody asked for")
        self._grants.learn_application_token(account, notice.application_token)

    def _known(self, account: str) -> StoredGrant | None:
        """What is stored; what no key opens counts as nothing, for it is to be replaced."""
        try:
            return self._grants.find(account)
        except ConfigError:
            return None
