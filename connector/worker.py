"""Claims jobs, runs their handlers in threads, and does with each what its error calls for.

Knows no task: handlers are handed in. One thread extends the leases of what runs and returns what others left
behind, so a worker that was killed is replaced by whoever is alive.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.clock import Clock
from connector.errors import ConnectorError, CrmError, DeliveryError, PaymentError, RetryLater
from connector.store.jobs import Job, JobQueue
from connector.store.outage import DATABASE_AWAY, Outage, StoreError
from connector.store.wakeup import WakeUp
from connector.store.workers import WorkerRegistry

log = logging.getLogger(__name__)

#: Returns when the job is done; an exception decides what becomes of it, see `decide`.
Handler = Callable[[Job], None]
OnDead = Callable[[Job, str], None]

LEASE = timedelta(seconds=60)
#: 12 attempts at these waits span about 19 hours: a CRM that is down overnight costs no dead letter.
FIRST_BACKOFF = timedelta(seconds=10)
BACKOFF_FACTOR = 2.5
LONGEST_BACKOFF = timedelta(hours=6)
#: A person has to renew the credentials: asking more often helps nobody.
REAUTH_BACKOFF = timedelta(minutes=15)
JITTER_SHARE = 0.25

_HOST = socket.gethostname()[:32].replace(":", "-")
#: Workers of this very process; their jobs are nobody else's.
_WORKING_HERE: set[str] = set()

#: No answer, a server's own delay of 0 s included, may make a job spin.
SHORTEST_WAIT = timedelta(seconds=0.1)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again at that moment; this attempt counts."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Snooze:
    """Try again at that moment; this attempt does not count. `is_told`: it is a failure, to be shown."""

    at: datetime
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Dead:
    """Never try again by itself."""


Decision = Retry | Snooze | Dead


class UnknownTask(Exception):
    """No handler here: another version of the program enqueued it, and one may yet run it."""


def decide(error: Exception, attempts: int, max_attempts: int, now: datetime, rng: random.Random) -> Decision:
    """What becomes of a job whose attempt number `attempts` (from 1) ended with `error`.

    The server's own delay wins over ours. What repeating cannot cure is dead at once.
    """
    if isinstance(error, RetryLater):
        return Snooze(now + max(error.wait, SHORTEST_WAIT))
    if isinstance(error, CrmError) and error.kind == "reauth":
        # Nothing was tried, and a person has to act first: however long it takes, the work waits.
        return Snooze(now + REAUTH_BACKOFF * rng.uniform(1 - JITTER_SHARE, 1 + JITTER_SHARE), is_told=True)
    if not _can_be_cured(error) or attempts >= max_attempts:
        return Dead()
    if isinstance(error, CrmError) and error.retry_after is not None:
        return Retry(now + max(error.retry_after, SHORTEST_WAIT))
    return Retry(now + backoff(attempts) * rng.uniform(1 - JITTER_SHARE, 1 + JITTER_SHARE))


def backoff(attempts: int) -> timedelta:
    """The wait after attempt number `attempts`, before jitter."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * BACKOFF_FACTOR ** min(attempts - 1, 20))


def _can_be_cured(error: Exception) -> bool:
    if isinstance(error, CrmError | PaymentError):
        return error.kind == "retry"
    if isinstance(error, DeliveryError):
        return not error.permanent
    # Raised on purpose: templates, settings, data. Anything else is a surprise and may pass.
    return not isinstance(error, ConnectorError)


def _is_gone(owner: str) -> bool:
    """Whether the worker with that name ran on this machine and its process is no more."""
    host, pid, _ = owner.rsplit(":", 2)
    if host != _HOST or owner in _WORKING_HERE:
        return False
    if int(pid) == os.getpid():
        return True  # a container starts every process with the same number
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class Worker:
    """One process's share of the work.

    `queue_name`: one queue or several, served in turn by the same `threads`. `cap_per_account`: jobs of one
    account and queue that may run at once, over all workers. `on_dead(job, error)` is called, outside any
    transaction, before a job is buried; after a crash in between it is called again.
    """

    def __init__(
        self,
        queue: JobQueue,
        handlers: Mapping[str, Handler],
        *,
        clock: Clock,
        threads: int = 4,
        queue_name: str | Sequence[str] = "work",
        cap_per_account: int = 3,
        wakeup: WakeUp | None = None,
        on_dead: OnDead | None = None,
        lease: timedelta = LEASE,
        rng: random.Random | None = None,
    ) -> None:
        self.owner = f"{_HOST}:{os.getpid()}:{secrets.token_hex(4)}"
        self._queue = queue
        self._handlers = handlers
        self._clock = clock
        self._threads = threads
        self._queue_names = (queue_name,) if isinstance(queue_name, str) else tuple(queue_name)
        self._cap = cap_per_account
        self._wakeup = wakeup or WakeUp(queue.db)
        self._owns_wakeup = wakeup is None
        self._on_dead = on_dead
        self._lease = lease
        self._rng = rng or random.Random()
        self._outage = Outage("worker")
        self._registry = WorkerRegistry(queue.db, queue.clock)
        self._running: dict[tuple[int, int], Job] = {}
        self._lock = threading.Lock()
        # A plain flag: `stop` is called from signal handlers, where an Event could wait for itself.
        self._stopping = False
        self._ended = threading.Event()

    def run(self) -> None:
        """Work until `stop`; returns when what was running has ended."""
        self._ended.clear()
        _WORKING_HERE.add(self.owner)
        self._take_over()
        maintenance = threading.Thread(target=self._maintain, name="worker-leases", daemon=True)
        maintenance.start()
        try:
            with ThreadPoolExecutor(self._threads, thread_name_prefix="worker") as pool:
                self._feed(pool)
        finally:
            self._ended.set()
            maintenance.join()
            _WORKING_HERE.discard(self.owner)
            if self._owns_wakeup:
                self._wakeup.close()

    def _take_over(self) -> None:
        """Go on at once with what a killed worker of this machine was doing; its leases need not end."""
        try:
            taken = self._queue.return_jobs_of(_is_gone)
        except StoreError as error:
            self._outage.failed(error)
            return
        if taken:
            log.info("%d jobs of a worker that died here go on", len(taken), extra={"action": "taken_over"})

    def stop(self) -> None:
        """Begin nothing more; may be called from a signal handler."""
        self._stopping = True
        self._wakeup.kick()

    # Claiming

    def _feed(self, pool: ThreadPoolExecutor) -> None:
        turn = 0
        look_first = False
        while not self._stopping:
            seen = self._wakeup.hints
            free = self._threads - len(self._running)
            try:
                claimed: list[Job] = []
                if free and not (look_first and not self._queue.has_due(self._queue_names)):
                    claimed = self._claim(free, turn)
                    turn += 1
                self._outage.over()
            except StoreError as error:
                self._pause(self._outage.failed(error))
                continue
            for job in claimed:
                self._begin(pool, job)
            # Woken by a hint: claim at once. Otherwise a look that takes no lock comes first.
            look_first = not self._wakeup.wait(seen)

    def _claim(self, free: int, turn: int) -> list[Job]:
        claimed: list[Job] = []
        first = turn % len(self._queue_names)
        for name in self._queue_names[first:] + self._queue_names[:first]:
            if len(claimed) < free:
                claimed += self._queue.claim(self.owner, name, free - len(claimed), self._cap, self._lease)
        return claimed

    def _begin(self, pool: ThreadPoolExecutor, job: Job) -> None:
        if self._stopping:
            self._record(job, lambda: self._queue.hand_back(job))
            return
        with self._lock:
            self._running[job.id, job.attempts] = job
        pool.submit(self._run_one, job)

    def _pause(self, duration: timedelta) -> None:
        """Let `duration` pass, or less when the worker is to stop."""
        until = time.monotonic() + duration.total_seconds()
        while not self._stopping and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.25))

    # Running

    def _run_one(self, job: Job) -> None:
        try:
            self._attempt(job)
        except Exception:
            # Whatever went wrong in our own bookkeeping: the lease brings the job back.
            log.exception("job %d (%s): its outcome could not be recorded", job.id, job.task)
        finally:
            with self._lock:
                self._running.pop((job.id, job.attempts), None)
            self._wakeup.kick()

    def _attempt(self, job: Job) -> None:
        if job.attempts > job.max_attempts:
            self._bury(
                job, f"{job.max_attempts} attempts were begun and none ended: the worker died each time"
            )
            return
        started_at = self._clock.now()
        try:
            handler = self._handlers.get(job.task)
            if handler is None:
                raise UnknownTask(f"no handler for the task {job.task!r} in this version")
            handler(job)
        except Exception as error:
            failure = error
            self._record(job, lambda: self._conclude(job, failure))
            return
        if self._record(job, lambda: self._queue.finish(job)):
            log.debug(
                "job %d (%s) done in %.3f s",
                job.id,
                job.task,
                (self._clock.now() - started_at).total_seconds(),
                extra={"action": "job_done", "account": job.account},
            )

    def _conclude(self, job: Job, error: Exception) -> bool:
        text = f"{type(error).__name__}: {error}"
        match decide(error, job.attempts, job.max_attempts, self._queue.now(), self._rng):
            case Snooze(at, is_told):
                is_ours = self._queue.snooze(job, at, text if is_told else None)
                if is_ours and is_told:
                    self._log_retry(job, error, at)
                return is_ours
            case Retry(at):
                is_ours = self._queue.retry(job, at, text)
                if is_ours:
                    self._log_retry(job, error, at)
                return is_ours
            case Dead():
                return self._bury(job, text, error)

    def _log_retry(self, job: Job, error: Exception, at: datetime) -> None:
        log.warning(
            "job %d (%s) of %s failed, attempt %d of %d, next at %s: %s",
            job.id,
            job.task,
            job.account,
            job.attempts,
            job.max_attempts,
            at.isoformat(timespec="seconds"),
            error,
            extra={"action": "job_retry", "account": job.account},
            exc_info=None if isinstance(error, ConnectorError) else error,
        )

    def _bury(self, job: Job, text: str, error: Exception | None = None) -> bool:
        # Another worker may have the job by now, and may yet succeed: then it is not ours to give up.
        if job.id not in self._queue.extend_leases([job], self._lease):
            return False
        if self._on_dead is not None:
            self._call_on_dead(self._on_dead, job, text)
        is_ours = self._queue.bury(job, text)
        log.error(
            "job %d (%s) of %s is a dead letter: %s",
            job.id,
            job.task,
            job.account,
            text,
            extra={"action": "job_dead", "account": job.account},
            exc_info=None if error is None or isinstance(error, ConnectorError) else error,
        )
        return is_ours

    @staticmethod
    def _call_on_dead(on_dead: OnDead, job: Job, text: str) -> None:
        try:
            on_dead(job, text)
        except DATABASE_AWAY:
            raise
        except Exception:
            # The job is buried all the same: kept alive, it would come back with every lease for ever.
            log.exception("job %d (%s): what follows from its death failed", job.id, job.task)

    def _record(self, job: Job, change: Callable[[], bool]) -> bool:
        """Whether the job was ours and `change` is written; tries until the database answers or `stop`."""
        while True:
            try:
                is_ours = change()
            except StoreError as error:
                wait = self._outage.failed(error)
                if self._stopping:
                    log.warning("job %d (%s): stopping before its outcome was recorded", job.id, job.task)
                    return False
                self._pause(wait)
                continue
            self._outage.over()
            if not is_ours:
                log.warning(
                    "job %d (%s): the lease ran out before it ended; another worker has it",
                    job.id,
                    job.task,
                    extra={"action": "lease_lost", "account": job.account},
                )
            return is_ours

    # Leases

    def _maintain(self) -> None:
        period = self._lease / 3
        wait = timedelta(0)
        while not self._ended.wait(wait.total_seconds()):
            try:
                self._keep_leases()
                self._outage.over()
                wait = period
            except StoreError as error:
                wait = min(period, self._outage.failed(error))
        try:
            self._registry.leave(self.owner)
        except StoreError:
            log.info("worker %s: its row could not be removed and is forgotten in a day", self.owner)

    def _keep_leases(self) -> None:
        with self._lock:
            running = list(self._running.values())
        self._queue.extend_leases(running, self._lease)
        returned = self._queue.return_expired()
        if returned:
            log.warning(
                "%d jobs whose worker is gone are ready again",
                len(returned),
                extra={"action": "leases_returned", "jobs": returned},
            )
            self._wakeup.kick()
        self._registry.beat(
            self.owner,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self._queue_names,
            threads=self._threads,
            running=len(running),
        )
