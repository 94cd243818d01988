"""Pairs of tokens, encrypted, one row an account, and the right to renew them, which one process has at once.

Must not know how a CRM renews a pair. A renewal is told before it begins, so that one that a crash cut off
between the CRM's answer and our writing is recognised afterwards.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from connector.clock import Clock
from connector.domain import GrantProblem, OAuthGrant, RenewalClaim, StoredGrant
from connector.store.database import Database
from connector.store.moment import moment
from connector.store.outage import DATABASE_AWAY, Outage
from connector.store.schema import oauth_grants, oauth_states
from connector.store.sealing import Sealer
from connector.store.upsert import insert_new

log = logging.getLogger(__name__)

#: How long a new pair is held in memory while the database is away: the old one is spent already.
SAVE_FOR = timedelta(minutes=2)

#: A person needs this long at most to say yes on the CRM's page.
STATE_LIFE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class GrantState:
    """How an account's consent stands, without its secrets. `problem` is Russian and says what to do."""

    problem: str
    problem_at: datetime | None
    updated_at: datetime


class Grants:
    """All grants of one store."""

    def __init__(self, db: Database, clock: Clock, sealer: Sealer) -> None:
        self._db = db
        self._clock = clock
        self._sealer = sealer

    # A grant as its users see it

    def find(self, account: str) -> StoredGrant | None:
        """The account's grant; None before consent. ConfigError when SECRET_KEY does not fit."""
        with self._db.read() as conn:
            row = conn.execute(select(oauth_grants).where(oauth_grants.c.account == account)).one_or_none()
        if row is None:
            return None
        grant = _grant(self._sealer.open(account, row.sealed))
        return StoredGrant(grant, row.version, row.problem, row.problem_at)

    def state(self, account: str) -> GrantState | None:
        """How the consent stands; needs no key. None before consent."""
        with self._db.read() as conn:
            row = conn.execute(select(oauth_grants).where(oauth_grants.c.account == account)).one_or_none()
        return GrantState(row.problem_text or "", row.problem_at, row.updated_at) if row else None

    def store(
        self, conn: Connection, account: str, grant: OAuthGrant, *, application_token: str = ""
    ) -> None:
        """Take over what a new consent gave in the place of what was known.

        application_token: the secret in each event of the installation; "" keeps the known one.
        """
        values: dict[str, Any] = {**self._sealed(account, grant), **_WELL}
        if application_token:
            values["sealed_application_token"] = self._sealer.seal(account, {"token": application_token})
        fresh = insert_new(
            conn, oauth_grants, {"account": account, "version": 1, **values}, returning="account"
        )
        if fresh is None:
            newer = update(oauth_grants).where(oauth_grants.c.account == account)
            conn.execute(newer.values(version=oauth_grants.c.version + 1, **values))

    def application_token(self, account: str) -> str:
        """The secret that each event of the installed application carries; "" while it is not known."""
        with self._db.read() as conn:
            column = oauth_grants.c.sealed_application_token
            sealed = conn.execute(
                select(column).where(oauth_grants.c.account == account)
            ).scalar_one_or_none()
        return self._sealer.open(account, sealed)["token"] if sealed else ""

    def learn_application_token(self, account: str, token: str) -> None:
        """Keep the installation's secret, beside whatever becomes of the pair meanwhile."""
        sealed = self._sealer.seal(account, {"token": token})
        known = update(oauth_grants).where(oauth_grants.c.account == account)
        with self._db.begin() as conn:
            conn.execute(known.values(sealed_application_token=sealed))

    def reseal(self, accounts: Sequence[str]) -> int:
        """Encrypt with the newest key what older ones encrypted for these accounts; how many secrets.

        ConfigError when no key fits.
        """
        number = 0
        with self._db.begin() as conn:
            chosen = select(oauth_grants).where(oauth_grants.c.account.in_(accounts)).with_for_update()
            for row in conn.execute(chosen).all():
                sealed = {name: getattr(row, name) for name in _SEALED if getattr(row, name)}
                opened = {name: self._sealer.open(row.account, text) for name, text in sealed.items()}
                old = [name for name, text in sealed.items() if not self._sealer.is_newest(text)]
                if old:
                    newly = {name: self._sealer.seal(row.account, opened[name]) for name in old}
                    own = update(oauth_grants).where(oauth_grants.c.account == row.account)
                    conn.execute(own.values(**newly))
                number += len(old)
        return number

    # Renewal: each call is a transaction of its own

    def claim(self, account: str, version: int, lease: timedelta) -> RenewalClaim | None:
        """The right to renew that very pair; None when it is another one by now, or somebody renews it."""
        owner, now = secrets.token_hex(12), moment(self._db, self._clock)
        asked = (
            select(oauth_grants, now.label("now")).where(oauth_grants.c.account == account).with_for_update()
        )
        with self._db.begin() as conn:
            row = conn.execute(asked).one_or_none()
            if row is None or row.version != version or (row.busy_until and row.busy_until > row.now):
                return None
            taken = update(oauth_grants).where(oauth_grants.c.account == account)
            conn.execute(
                taken.values(
                    busy_by=owner,
                    busy_until=moment(self._db, self._clock, lease),
                    renewal_began_at=row.renewal_began_at or row.now,
                )
            )
        return RenewalClaim(owner, row.renewal_began_at)

    def replace(self, account: str, version: int, grant: OAuthGrant) -> bool:
        """Keep the new pair in the place of that one; False when there is another one by now.

        Whoever has a new pair may write it, lease or no lease: nobody else can have one. While the database
        is away it tries again, for `SAVE_FOR` at most, and raises its error then.
        """
        same = (oauth_grants.c.account == account, oauth_grants.c.version == version)
        values = {**self._sealed(account, grant), **_WELL, "version": version + 1}

        def write() -> bool:
            with self._db.begin() as conn:
                return conn.execute(update(oauth_grants).where(*same).values(**values)).rowcount == 1

        return self._insist(write)

    def release(self, account: str, claim: RenewalClaim, *, pause: timedelta, spent: bool) -> None:
        """Give the right back; nobody may claim it for `pause`. `spent`: the pair may have been used up."""
        mine = (oauth_grants.c.account == account, oauth_grants.c.busy_by == claim.owner)
        values: dict[str, Any] = {"busy_by": None, "busy_until": moment(self._db, self._clock, pause)}
        if not spent:
            values["renewal_began_at"] = None
        with self._db.begin() as conn:
            conn.execute(update(oauth_grants).where(*mine).values(**values))

    def report(self, account: str, version: int, problem: GrantProblem, text: str) -> bool:
        """Remember why a person has to act, as long as it is that very pair; whether that is news.

        text: in Russian, says what to do.
        """
        same = (oauth_grants.c.account == account, oauth_grants.c.version == version)
        with self._db.begin() as conn:
            row = conn.execute(select(oauth_grants.c.problem).where(*same).with_for_update()).one_or_none()
            if row is None:
                return False
            values = {"problem": problem, "problem_text": text, "busy_by": None, "busy_until": None}
            conn.execute(
                update(oauth_grants).where(*same).values(problem_at=moment(self._db, self._clock), **values)
            )
        return bool(row.problem != problem)

    def _insist(self, write: Callable[[], bool]) -> bool:
        outage, waited = Outage("new CRM tokens"), timedelta(0)
        while True:
            try:
                done = write()
            except DATABASE_AWAY as error:
                wait = outage.failed(error)
                if waited + wait > SAVE_FOR:
                    log.error(
                        "new CRM tokens could not be stored and are lost", extra={"action": "tokens_lost"}
                    )
                    raise
                self._clock.sleep(wait)
                waited += wait
                continue
            outage.over()
            return done

    def _sealed(self, account: str, grant: OAuthGrant) -> dict[str, Any]:
        return {
            "sealed": self._sealer.seal(account, _said(grant)),
            "updated_at": moment(self._db, self._clock),
        }

    # What comes back from a consent page

    def new_state(self, account: str) -> str:
        """A secret for one way to the consent page and back."""
        state, now = secrets.token_urlsafe(24), self._clock.now()
        with self._db.begin() as conn:
            conn.execute(delete(oauth_states).where(oauth_states.c.expires_at < now))
            conn.execute(
                oauth_states.insert().values(
                    digest=_digest(state), account=account, expires_at=now + STATE_LIFE
                )
            )
        return state

    def take_state(self, account: str, state: str) -> bool:
        """Whether we gave out that secret for this account, and it was not used yet."""
        known = delete(oauth_states).where(
            oauth_states.c.digest == _digest(state),
            oauth_states.c.account == account,
            oauth_states.c.expires_at >= self._clock.now(),
        )
        with self._db.begin() as conn:
            return conn.execute(known).rowcount == 1


#: Nobody renews, nothing is wrong.
_WELL: dict[str, Any] = {
    "busy_by": None,
    "busy_until": None,
    "renewal_began_at": None,
    "problem": None,
    "problem_text": None,
    "problem_at": None,
}

_TIMES = ("obtained_at", "expires_at")
_TEXTS = ("access_token", "refresh_token", "base_url", "account_id", "server_url")
_SEALED = ("sealed", "sealed_application_token")


def _said(grant: OAuthGrant) -> dict[str, str]:
    times = {name: getattr(grant, name).isoformat() for name in _TIMES}
    return times | {name: getattr(grant, name) for name in _TEXTS}


def _grant(said: dict[str, str]) -> OAuthGrant:
    times = {name: datetime.fromisoformat(said[name]) for name in _TIMES}
    return OAuthGrant(**times, **{name: said.get(name, "") for name in _TEXTS})  # type: ignore[arg-type]


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
