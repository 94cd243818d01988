"""Work as rows: enqueue in the transaction of the facts, claim, finish, put back, bury.

One code path on SQLite and PostgreSQL. Knows nothing of what a task does. The promises:

- A job exists if and only if the transaction that enqueued it was committed.
- Of one (account, order key) at most one job runs, and a later one waits until the earlier is done, dead or
  cancelled; a job that waits for its retry keeps its place. Order is that of the ids.
- Of one account at most `cap_per_account` jobs of a queue run, over all processes, exactly.
- A claim is a lease. Whoever lost it can no longer finish, retry or bury the job: it is fenced by owner and
  attempt. Effects may therefore repeat, and are idempotent by keys of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from connector.clock import Clock
from connector.store.database import LOCK_CLAIM, Database, after_commit, lock_until_commit
from connector.store.moment import moment, read_now
from connector.store.schema import jobs

#: Candidates read for each free slot; more rounds follow when the cap of their account drops most of them.
CANDIDATES = 8
PRUNE_BATCH = 1000
ERROR_LENGTH = 4000
DEFAULT_QUEUE = "work"
#: Jobs that take long or that nobody waits for have a queue of their own: a deal that moved never stands
#: behind them.
BACKGROUND = "background"
DEFAULT_MAX_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `attempts` counts this try; it is above `max_attempts` when earlier ones never ended."""

    id: int
    queue: str
    task: str
    args: Mapping[str, Any]
    account: str
    order_key: str | None
    attempts: int
    max_attempts: int
    owner: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be enqueued. `dedup` is unique over all accounts, so it begins with the account."""

    task: str
    args: Mapping[str, Any]
    account: str
    queue: str = DEFAULT_QUEUE
    order_key: str | None = None
    run_at: datetime | None = None
    dedup: str | None = None
    max_attempts: int = DEFAULT_MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A dead letter: no longer retried, kept with its last error for a person."""

    id: int
    queue: str
    task: str
    args: Mapping[str, Any]
    account: str
    order_key: str | None
    attempts: int
    error: str
    died_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """Unfinished work. `due` of the `ready` could start now; `oldest_due` is since when the oldest waits."""

    ready: int
    due: int
    running: int
    dead: int
    oldest_due: datetime | None = field(default=None)


def state_is(*states: str, of: FromClause = jobs) -> ColumnElement[bool]:
    """The job's state is one of `states`, written into the statement's text.

    A bound parameter would hide from both planners that the partial indexes fit.
    """
    if len(states) == 1:
        return of.c.state == literal(states[0], literal_execute=True)
    return of.c.state.in_(bindparam("states", states, expanding=True, literal_execute=True, unique=True))


#: How many jobs of each account run in a queue.
RUNNING = (
    select(jobs.c.account, func.count())
    .where(state_is("run"), jobs.c.queue == bindparam("queue"))
    .group_by(jobs.c.account)
)


class JobQueue:
    """All queues of one store. `on_enqueue` is called after the commit of work that may start at once."""

    def __init__(self, db: Database, clock: Clock, on_enqueue: Callable[[], None] | None = None) -> None:
        self.db = db
        self.clock = clock
        self._on_enqueue = on_enqueue
        self._candidates = _candidates(moment(db, clock))

    def now(self) -> datetime:
        """The moment by which jobs are due and leases end (see `connector.store.moment`)."""
        return read_now(self.db, self.clock)

    # The writer's side: inside the transaction of the facts

    def enqueue(
        self,
        conn: Connection,
        task: str,
        args: Mapping[str, Any],
        *,
        account: str,
        queue: str = DEFAULT_QUEUE,
        order_key: str | None = None,
        run_at: datetime | None = None,
        dedup: str | None = None,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    ) -> int | None:
        """The new job's id; None when a job with an equal `dedup` exists, whatever its state.

        `args` must be JSON. `order_key` orders jobs of the account among themselves. `run_at`: not before
        that moment; None is now.
        """
        job = NewJob(task, args, account, queue, order_key, run_at, dedup, max_attempts)
        insertion = self._insertion().values(self._row(job)).returning(jobs.c.id)
        job_id: int | None = conn.execute(insertion).scalar_one_or_none()
        if job_id is not None:
            self._announce(conn, (job,))
        return job_id

    def enqueue_all(self, conn: Connection, new: Sequence[NewJob]) -> None:
        """Enqueue many at once, in their order; those whose `dedup` exists are left out."""
        if not new:
            return
        now = moment(self.db, self.clock)
        at = conn.execute(select(now)).scalar_one()
        conn.execute(self._insertion(), [self._row(job, at) for job in new])
        self._announce(conn, new)

    def cancel(self, conn: Connection, job_id: int, reason: str | None = None) -> bool:
        """Whether the job was still waiting and now never runs; a running one is left alone."""
        cancelled = (
            update(jobs)
            .where(jobs.c.id == job_id, state_is("ready"))
            .values(state="cancelled", finished_at=moment(self.db, self.clock), error=reason)
        )
        return conn.execute(cancelled).rowcount == 1

    def requeue(self, conn: Connection, job_id: int) -> bool:
        """Whether the job was dead and is ready again, its attempts forgotten."""
        revived = (
            update(jobs)
            .where(jobs.c.id == job_id, state_is("dead"))
            .values(state="ready", attempts=0, run_at=moment(self.db, self.clock), finished_at=None)
        )
        if conn.execute(revived).rowcount != 1:
            return False
        self._wake_after(conn)
        return True

    def hurry(self, conn: Connection, account: str) -> int:
        """Let what failed before and waits for its next try run now: its reason is gone. How many jobs."""
        now = moment(self.db, self.clock)
        waiting = update(jobs).where(
            jobs.c.account == account, state_is("ready"), jobs.c.error.is_not(None), jobs.c.run_at > now
        )
        number = conn.execute(waiting.values(run_at=now)).rowcount
        if number:
            self._wake_after(conn)
        return number

    # The worker's side: each call is a transaction of its own

    def has_due(self, queues: Iterable[str]) -> bool:
        """Whether a claim may find something; takes no lock, so that idle workers may ask often."""
        # The order is for the planner: without it PostgreSQL may count on meeting a due row soon, and read
        # the whole table when there is none.
        due = select(jobs.c.id).where(state_is("ready"), jobs.c.run_at <= moment(self.db, self.clock))
        first = due.order_by(jobs.c.run_at, jobs.c.id).limit(1)
        with self.db.read() as conn:
            return any(conn.execute(first.where(jobs.c.queue == name)).first() for name in queues)

    def claim(self, owner: str, queue: str, limit: int, cap_per_account: int, lease: timedelta) -> list[Job]:
        """Up to `limit` due jobs, oldest first, now leased to `owner`; counts an attempt of each."""
        with self.db.begin() as conn:
            if self.db.dialect == "postgresql":
                # Two claims at once would each see the other's account below its cap.
                lock_until_commit(conn, LOCK_CLAIM)
            chosen = self._choose(conn, queue, limit, cap_per_account)
            if not chosen:
                return []
            taken = (
                update(jobs)
                .where(jobs.c.id.in_(chosen), state_is("ready"))
                .values(
                    state="run",
                    owner=owner,
                    lease_until=moment(self.db, self.clock, lease),
                    attempts=jobs.c.attempts + 1,
                )
                .returning(jobs)
            )
            place = {job_id: number for number, job_id in enumerate(chosen)}
            rows = sorted(conn.execute(taken), key=lambda row: place[row.id])
        return [_job(row) for row in rows]

    def finish(self, job: Job) -> bool:
        """Mark the job done; False when it was no longer ours."""
        return self._settle(job, state="done", finished_at=moment(self.db, self.clock), error=None)

    def retry(self, job: Job, run_at: datetime, error: str) -> bool:
        """Put the job back until `run_at`; it keeps its place in its order. False when it was not ours."""
        return self._settle(job, state="ready", run_at=run_at, error=error[:ERROR_LENGTH])

    def snooze(self, job: Job, run_at: datetime, error: str | None = None) -> bool:
        """As `retry`, but this attempt is not counted."""
        told = {} if error is None else {"error": error[:ERROR_LENGTH]}
        return self._settle(job, state="ready", run_at=run_at, attempts=jobs.c.attempts - 1, **told)

    def hand_back(self, job: Job) -> bool:
        """Give up a job that was claimed and not begun: ready at once, the attempt is not counted."""
        return self._settle(job, state="ready", attempts=jobs.c.attempts - 1)

    def bury(self, job: Job, error: str) -> bool:
        """Make the job a dead letter; it no longer holds up its order key. False when it was not ours."""
        return self._settle(
            job, state="dead", finished_at=moment(self.db, self.clock), error=error[:ERROR_LENGTH]
        )

    def extend_leases(self, running: Iterable[Job], lease: timedelta) -> set[int]:
        """The ids of those that are still ours, their leases counted anew from now."""
        ours = [_held(job) for job in running]
        if not ours:
            return set()
        extended = (
            update(jobs)
            .where(or_(*ours))
            .values(lease_until=moment(self.db, self.clock, lease))
            .returning(jobs.c.id)
        )
        with self.db.begin() as conn:
            return set(conn.execute(extended).scalars())

    def return_expired(self) -> list[int]:
        """The ids of jobs whose lease ran out, now ready for anybody; that is the whole takeover."""
        expired = and_(state_is("run"), jobs.c.lease_until < moment(self.db, self.clock))
        with self.db.read() as conn:
            first = select(jobs.c.id).where(expired).order_by(jobs.c.lease_until).limit(1)
            if conn.execute(first).first() is None:
                return []
        returned = (
            update(jobs)
            .where(expired)
            .values(state="ready", owner=None, lease_until=None)
            .returning(jobs.c.id)
        )
        with self.db.begin() as conn:
            ids = sorted(conn.execute(returned).scalars())
            if ids:
                self._wake_after(conn)
        return ids

    def return_jobs_of(self, is_gone: Callable[[str], bool]) -> list[int]:
        """The ids of running jobs whose owner is certainly gone, now ready without waiting for a lease."""
        with self.db.read() as conn:
            owners = conn.execute(select(jobs.c.owner).where(state_is("run")).distinct()).scalars().all()
        gone = [owner for owner in owners if owner and is_gone(owner)]
        if not gone:
            return []
        returned = (
            update(jobs)
            .where(state_is("run"), jobs.c.owner.in_(gone))
            .values(state="ready", owner=None, lease_until=None)
            .returning(jobs.c.id)
        )
        with self.db.begin() as conn:
            ids = sorted(conn.execute(returned).scalars())
            self._wake_after(conn)
        return ids

    # For people

    def dead(self, account: str | None = None) -> list[DeadJob]:
        """The dead letters, oldest first."""
        found = select(jobs).where(state_is("dead")).order_by(jobs.c.finished_at, jobs.c.id)
        if account is not None:
            found = found.where(jobs.c.account == account)
        with self.db.read() as conn:
            return [
                DeadJob(
                    id=row.id,
                    queue=row.queue,
                    task=row.task,
                    args=row.args,
                    account=row.account,
                    order_key=row.order_key,
                    attempts=row.attempts,
                    error=row.error or "",
                    died_at=row.finished_at,
                )
                for row in conn.execute(found)
            ]

    def counts(self, account: str | None = None) -> Counts:
        """How much unfinished work there is."""
        whose = literal(True) if account is None else jobs.c.account == account
        due = and_(state_is("ready"), jobs.c.run_at <= moment(self.db, self.clock), whose)
        unfinished = select(jobs.c.state, func.count()).where(state_is("ready", "run", "dead"), whose)
        with self.db.read() as conn:
            states = Counter(
                {str(state): int(n) for state, n in conn.execute(unfinished.group_by(jobs.c.state))}
            )
            number, oldest = conn.execute(
                select(func.count(), func.min(jobs.c.run_at, type_=jobs.c.run_at.type)).where(due)
            ).one()
        return Counts(states["ready"], number, states["run"], states["dead"], oldest)

    def prune(self, before: datetime) -> int:
        """How many done and cancelled jobs that ended before that moment were deleted; the dead stay."""
        old = select(jobs.c.id).where(state_is("done", "cancelled"), jobs.c.finished_at < before)
        deleted = 0
        while True:
            with self.db.begin() as conn:
                batch = delete(jobs).where(jobs.c.id.in_(old.limit(PRUNE_BATCH)))
                number = conn.execute(batch).rowcount
            deleted += number
            if number < PRUNE_BATCH:
                return deleted

    # Inside

    def _insertion(self) -> postgresql.Insert | sqlite.Insert:
        insert = postgresql.insert if self.db.dialect == "postgresql" else sqlite.insert
        return insert(jobs).on_conflict_do_nothing(index_elements=["dedup"])

    def _row(self, job: NewJob, at: datetime | None = None) -> dict[str, Any]:
        now = at if at is not None else moment(self.db, self.clock)
        return {
            "queue": job.queue,
            "task": job.task,
            "args": dict(job.args),
            "account": job.account,
            "order_key": job.order_key,
            "state": "ready",
            "run_at": job.run_at if job.run_at is not None else now,
            "attempts": 0,
            "max_attempts": job.max_attempts,
            "dedup": job.dedup,
            "created_at": now,
        }

    def _announce(self, conn: Connection, new: Sequence[NewJob]) -> None:
        if any(job.run_at is None or job.run_at <= self.clock.now() for job in new):
            self._wake_after(conn)

    def _wake_after(self, conn: Connection) -> None:
        if self._on_enqueue is not None:
            after_commit(conn, self._on_enqueue)

    def _choose(self, conn: Connection, queue: str, limit: int, cap: int) -> list[int]:
        running = Counter({str(account): int(n) for account, n in conn.execute(RUNNING, {"queue": queue})})
        chosen: list[int] = []
        while len(chosen) < limit:
            full = [account for account, number in running.items() if number >= cap]
            wanted = (limit - len(chosen)) * CANDIDATES
            asked = {"queue": queue, "full": full, "chosen": chosen, "wanted": wanted}
            found = list(conn.execute(self._candidates, asked))
            for job_id, account in found:
                if len(chosen) < limit and running[account] < cap:
                    running[account] += 1
                    chosen.append(job_id)
            if len(found) < wanted:
                break
        return chosen

    def _settle(self, job: Job, **values: Any) -> bool:
        settled = update(jobs).where(_held(job)).values(owner=None, lease_until=None, **values)
        with self.db.begin() as conn:
            return conn.execute(settled).rowcount == 1


def _candidates(now: ColumnElement[datetime]) -> Select[int, str]:
    """The jobs that may be claimed at `now`, oldest first; built once: building takes longer than asking."""
    earlier, other = jobs.alias("earlier"), jobs.alias("other")
    behind = exists().where(
        earlier.c.order_key == jobs.c.order_key,
        earlier.c.account == jobs.c.account,
        earlier.c.id < jobs.c.id,
        state_is("ready", "run", of=earlier),
    )
    # An earlier id can be committed after a later one was claimed: order cannot be had then, but still only
    # one of them may run.
    beside = exists().where(
        state_is("run", of=other),
        other.c.account == jobs.c.account,
        other.c.order_key == jobs.c.order_key,
    )
    return (
        select(jobs.c.id, jobs.c.account)
        .where(
            state_is("ready"),
            jobs.c.queue == bindparam("queue"),
            jobs.c.run_at <= now,
            or_(jobs.c.order_key.is_(None), and_(not_(behind), not_(beside))),
            jobs.c.account.not_in(bindparam("full", expanding=True)),
            jobs.c.id.not_in(bindparam("chosen", expanding=True)),
        )
        .order_by(jobs.c.run_at, jobs.c.id)
        .limit(bindparam("wanted"))
        .with_for_update(skip_locked=True, of=jobs)
    )


def _held(job: Job) -> ColumnElement[bool]:
    return and_(
        jobs.c.id == job.id, state_is("run"), jobs.c.owner == job.owner, jobs.c.attempts == job.attempts
    )


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        queue=row.queue,
        task=row.task,
        args=row.args,
        account=row.account,
        order_key=row.order_key,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        owner=row.owner,
        lease_until=row.lease_until,
    )
