"""How the connector is doing, account by account: for `connector status` and the overview page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from connector import access
from connector.clock import Clock
from connector.config import AccountConfig, Config
from connector.hook_watch import REPAIRED
from connector.kit_alarm import KitFault
from connector.reconcile import LAST
from connector.store import cursors, facts, inbox, missed, outbox
from connector.store.database import Database
from connector.store.facts import AccountRow
from connector.store.grants import Grants
from connector.store.jobs import Counts, DeadJob, JobQueue
from connector.store.outbox import Effect

#: Refused hooks are shown for this long.
REFUSED_FOR = timedelta(days=7)

#: Jobs that are no effects come again by their schedule or by reconcile: their failures are shown this long.
JOBS_FOR = timedelta(days=1)

#: «Missed by webhooks» is shown for so many days, today with them.
MISSED_FOR = 7

#: Latest effects on the overview page.
RECENT = 12


@dataclass(frozen=True, slots=True)
class MissedHooks:
    """Changes that no webhook told of in time, found by reconcile: today, yesterday and in `MISSED_FOR` days.

    `has_more`: the last comparison found more than it may take in at once, and goes on.
    """

    today: int
    yesterday: int
    week: int
    has_more: bool

    @property
    def text(self) -> str:
        """The line for people."""
        line = (
            f"Пропущено вебхуками, найдено сверкой: {self.today} "
            f"(вчера {self.yesterday}, за {MISSED_FOR} дней {self.week})"
        )
        more = "; расхождений необычно много, сверка берёт их частями и продолжает"
        return line + more if self.has_more else line


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account. `row` is None before the first contact with its CRM."""

    name: str
    crm: str
    row: AccountRow | None
    deals: int
    last_event_at: datetime | None
    events: Mapping[str, int]
    effects: Mapping[str, int]
    jobs: Counts
    last_errors: Sequence[str]
    recent: Sequence[Effect]
    held: Sequence[Effect]
    dead: Sequence[Effect]
    dead_jobs: Sequence[DeadJob]
    missed: MissedHooks
    #: When the CRM had stopped calling us and its webhook was made anew; None when that was not of late.
    hook_repaired_at: datetime | None = None
    #: Why the CRM does not let us in and what to do about it, in Russian; "" when it does.
    access_problem: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """All accounts, and what the receiver refused: (account, reason, count)."""

    accounts: tuple[AccountStatus, ...]
    refused: tuple[tuple[str, str, int], ...]
    #: Why the newest change of rules and templates is not at work; None when it is.
    kit_fault: KitFault | None = None

    @property
    def is_well(self) -> bool:
        """Whether nothing waits for a person: no effect failed for good, no other job of late, no consent,
        and the templates are at work as they were saved."""
        return self.kit_fault is None and not any(
            account.dead or account.dead_jobs or account.access_problem for account in self.accounts
        )


def gather(
    config: Config,
    db: Database,
    queue: JobQueue,
    clock: Clock,
    grants: Grants,
    kit_fault: KitFault | None = None,
) -> Status:
    """The present state of the store."""
    found = []
    lately = clock.now() - JOBS_FOR
    for account in config.accounts:
        jobs = queue.counts(account.name)
        failed = queue.dead(account.name)
        with db.read() as conn:
            problem = _access_problem(conn, account, grants)
            row = facts.account_row(conn, account.name)
            waiting = [e for e in outbox.with_status(conn, "ready", account.name, limit=50) if e.error]
            found.append(
                AccountStatus(
                    name=account.name,
                    crm=account.crm,
                    row=row,
                    deals=facts.count_deals(conn, account.name),
                    last_event_at=inbox.last_received_at(conn, account.name),
                    events=inbox.counts(conn, account.name),
                    effects=outbox.counts(conn, account.name),
                    jobs=jobs,
                    last_errors=tuple(dict.fromkeys(e.error or "" for e in waiting))[:5],
                    recent=outbox.latest(conn, account.name, RECENT),
                    held=outbox.with_status(conn, "held", account.name, limit=50),
                    dead=outbox.with_status(conn, "dead", account.name, limit=50),
                    dead_jobs=[job for job in failed if job.task != "effect" and job.died_at >= lately],
                    missed=_missed(conn, account.name, row, clock.now()),
                    access_problem=problem,
                    hook_repaired_at=_repaired_at(conn, account.name, lately),
                )
            )
    with db.read() as conn:
        refused = inbox.refused(conn, (clock.now() - REFUSED_FOR).date())
    return Status(tuple(found), tuple(refused), kit_fault)


def _missed(conn: Connection, account: str, row: AccountRow | None, now: datetime) -> MissedHooks:
    today = now.astimezone(ZoneInfo(row.timezone if row else "UTC")).date()
    days = missed.by_day(conn, account, today - timedelta(days=MISSED_FOR - 1))
    last = cursors.find(conn, account, LAST) or {}
    return MissedHooks(
        today=days.get(today, 0),
        yesterday=days.get(today - timedelta(days=1), 0),
        week=sum(days.values()),
        has_more=bool(last.get("has_more")),
    )


def _repaired_at(conn: Connection, account: str, since: datetime) -> datetime | None:
    kept = cursors.find(conn, account, REPAIRED)
    at = datetime.fromisoformat(kept["at"]) if kept else None
    return at if at is not None and at >= since else None


def _access_problem(conn: Connection, account: AccountConfig, grants: Grants) -> str:
    if not account.uses_oauth:
        told = access.problem(conn, account)
        row = facts.account_row(conn, account.name)
        if told is None:
            return ""
        since = told[0].astimezone(ZoneInfo(row.timezone if row else "UTC"))
        return f"CRM не принимает ключ с {since:%d.%m.%Y %H:%M}; работа ждёт. Что сделать: {told[1]}."
    state = grants.state(account.name)
    if state is None:
        command = f"connector connect {account.crm} --account {account.name}"
        return f"Согласия CRM ещё нет. Что сделать: выполните {command}."
    return state.problem
