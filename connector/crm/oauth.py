"""An account's authorization from a grant that is renewed in time, by one process for all.

`OAuthTokens` is the `TokenSource` of an account that is connected by consent. Where pairs are kept (`Vault`)
and how a CRM renews them (`OAuthServer`) is handed in. Must not know any CRM, nor the store.

Promises: of N processes one renews, the others take the new pair; a pair is stored before it is used; an
access token that still works is used as long as it does, whatever became of the refresh token.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from connector.clock import Clock
from connector.crm.consent import GrantRefused, OAuthServer
from connector.crm.tokens import Authorization
from connector.domain import GrantProblem, OAuthGrant, RenewalClaim, StoredGrant
from connector.errors import CrmError, RetryLater

log = logging.getLogger(__name__)

#: Longer than a renewal can take with all its time limits; whoever holds it longer is dead.
LEASE = timedelta(seconds=60)

#: How long a call waits for another process that renews, and how often it looks.
MAX_WAIT = timedelta(seconds=30)
LOOK_EVERY = timedelta(seconds=0.2)

#: After a renewal that failed for a while nobody tries for this long.
PAUSE = timedelta(seconds=5)

#: A pair that was refused for good is tried again that seldom: the settings may have been put right.
PROBE_EVERY = timedelta(minutes=15)

#: A token younger than this that is refused would not be helped by another one.
YOUNG = timedelta(minutes=2)

#: What is known of the pair is read anew that often: another process may have renewed it.
REREAD_EVERY = timedelta(seconds=10)


class Vault(Protocol):
    """Where pairs are kept; the methods are those of `connector.store.grants.Grants`."""

    def find(self, account: str) -> StoredGrant | None: ...

    def claim(self, account: str, version: int, lease: timedelta) -> RenewalClaim | None: ...

    def replace(self, account: str, version: int, grant: OAuthGrant) -> bool: ...

    def release(self, account: str, claim: RenewalClaim, *, pause: timedelta, spent: bool) -> None: ...

    def report(self, account: str, version: int, problem: GrantProblem, text: str) -> bool: ...


class OAuthTokens:
    """The authorization of one account, for all its clients in this process."""

    def __init__(
        self, account: str, vault: Vault, server: OAuthServer, clock: Clock, *, lease: timedelta = LEASE
    ) -> None:
        self._account = account
        self._vault = vault
        self._server = server
        self._clock = clock
        self._lease = lease
        self._lock = threading.Lock()
        self._known: StoredGrant | None = None
        self._read_at = clock.now()

    def current(self) -> Authorization:
        """See `TokenSource`. The pair is renewed when its access token is about to end."""
        known = self._known
        if known is not None and self._clock.now() - self._read_at < REREAD_EVERY and not self._is_due(known):
            return _authorization(known)
        with self._one_at_a_time():
            stored = self._read()
            if self._is_due(stored):
                stored = self._renew(stored, usable=not self._is_over(stored))
        return _authorization(stored)

    def renewed(self, refused: Authorization) -> Authorization | None:
        """See `TokenSource`. A token that was given a moment ago is not renewed: a person is told instead."""
        with self._one_at_a_time():
            stored = self._read()
            if stored.grant.access_token != refused.token:
                return _authorization(stored)
            if self._clock.now() - stored.grant.obtained_at < YOUNG:
                self._alarm(stored, "refused")
                return None
            return _authorization(self._renew(stored, usable=False))

    def _renew(self, stored: StoredGrant, *, usable: bool) -> StoredGrant:
        """The next pair. `usable`: the present access token still works, so nothing is worth waiting for."""
        waited = timedelta(0)
        while True:
            if stored.problem is not None and self._was_just_seen(stored):
                if usable:
                    return stored
                raise self._reauth(f"consent is needed: {stored.problem}")
            claim = self._vault.claim(self._account, stored.version, self._lease)
            if claim is not None:
                return self._renew_as(claim, stored, usable=usable)
            fresh = self._read()
            if fresh.version != stored.version or usable:
                return fresh
            if waited >= MAX_WAIT:
                raise RetryLater(PAUSE)
            self._clock.sleep(LOOK_EVERY)
            waited += LOOK_EVERY
            stored = fresh

    def _renew_as(self, claim: RenewalClaim, stored: StoredGrant, *, usable: bool) -> StoredGrant:
        try:
            grant = self._server.refresh(stored.grant)
        except GrantRefused as refusal:
            return self._after_refusal(claim, stored, refusal, usable=usable)
        except (CrmError, RetryLater) as error:
            # Without an answer the pair may be spent: then the next refusal is no revocation.
            spent = isinstance(error, CrmError) and error.status is None
            self._vault.release(self._account, claim, pause=PAUSE, spent=spent)
            if usable:
                log.warning("tokens of %s are not renewed yet: %s", self._account, error)
                return stored
            raise
        except BaseException:
            self._vault.release(self._account, claim, pause=timedelta(0), spent=True)
            raise
        if self._vault.replace(self._account, stored.version, grant):
            log.info(
                "tokens of %s are renewed",
                self._account,
                extra={"action": "tokens_renewed", "account": self._account},
            )
            if grant.base_url != stored.grant.base_url:
                log.warning(
                    "the account answers at %s now: change CRM_URL in the settings",
                    grant.base_url,
                    extra={"action": "crm_moved", "account": self._account},
                )
        return self._read()

    def _after_refusal(
        self, claim: RenewalClaim, stored: StoredGrant, refusal: GrantRefused, *, usable: bool
    ) -> StoredGrant:
        fresh = self._read()
        if fresh.version != stored.version:
            return fresh  # consent was given anew meanwhile
        is_lost = refusal.problem == "revoked" and claim.interrupted_at is not None
        self._alarm(stored, "lost" if is_lost else refusal.problem)
        if usable:
            return self._read()
        raise self._reauth(str(refusal))

    def _alarm(self, stored: StoredGrant, problem: GrantProblem) -> None:
        """Tell a person, once: in the store for `connector status`, and in the log."""
        text = self._server.advice(problem)
        if self._vault.report(self._account, stored.version, problem, text):
            log.error(text, extra={"action": "consent_needed", "account": self._account, "problem": problem})

    def _read(self) -> StoredGrant:
        stored = self._vault.find(self._account)
        if stored is None:
            raise self._reauth("no consent was given yet")
        self._known, self._read_at = stored, self._clock.now()
        return stored

    def _is_due(self, stored: StoredGrant) -> bool:
        return self._clock.now() >= stored.grant.expires_at - self._server.renews_ahead

    def _is_over(self, stored: StoredGrant) -> bool:
        return self._clock.now() >= stored.grant.expires_at

    def _was_just_seen(self, stored: StoredGrant) -> bool:
        return stored.problem_at is not None and self._clock.now() - stored.problem_at < PROBE_EVERY

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Threads of this process queue here rather than at the database."""
        if not self._lock.acquire(timeout=MAX_WAIT.total_seconds()):
            raise RetryLater(PAUSE)
        try:
            yield
        finally:
            self._lock.release()

    def _reauth(self, detail: str) -> CrmError:
        return CrmError("reauth", account=self._account, call="OAuth", code="CONSENT_NEEDED", detail=detail)


def _authorization(stored: StoredGrant) -> Authorization:
    return Authorization(stored.grant.access_token, stored.grant.base_url)
