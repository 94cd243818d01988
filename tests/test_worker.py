"""What the worker does with a job and its errors; how it starts, stops and outlives an outage."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, select

from connector.clock import FixedClock, SystemClock
from connector.errors import (
    ConfigError,
    CrmError,
    CrmErrorKind,
    DeliveryError,
    HeldError,
    RenderError,
    RetryLater,
)
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue
from connector.store.schema import jobs
from connector.store.wakeup import WakeUp
from connector.store.workers import WorkerRegistry
from connector.worker import Dead, Decision, Handler, Retry, Snooze, Worker, backoff, decide

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
DEADLINE_S = 30


class Middle(random.Random):
    """No jitter: every share is drawn at the middle of its range."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def crm(kind: CrmErrorKind, retry_after_s: float | None = None) -> CrmError:
    after = None if retry_after_s is None else timedelta(seconds=retry_after_s)
    return CrmError(kind, account="alpha", call="GET /leads", retry_after=after)


def after(**wait: float) -> datetime:
    return NOW + timedelta(**wait)


@pytest.mark.parametrize(
    ("error", "attempts", "expected"),
    [
        (RetryLater(timedelta(seconds=3)), 1, Snooze(after(seconds=3))),
        (RetryLater(timedelta(seconds=3)), 12, Snooze(after(seconds=3))),
        (RetryLater(timedelta(0)), 1, Snooze(after(seconds=0.1))),
        (crm("retry"), 1, Retry(after(seconds=10))),
        (crm("retry"), 2, Retry(after(seconds=25))),
        (crm("retry"), 3, Retry(after(seconds=62.5))),
        (crm("retry"), 11, Retry(after(hours=6))),
        (crm("retry"), 12, Dead()),
        (crm("retry", 120), 1, Retry(after(seconds=120))),
        (crm("retry", 1), 9, Retry(after(seconds=1))),
        (crm("retry", 0), 1, Retry(after(seconds=0.1))),
        (crm("retry", 120), 12, Dead()),
        # A person has to act: the work waits as long as that takes.
        (crm("reauth"), 1, Snooze(after(minutes=15), is_told=True)),
        (crm("reauth"), 12, Snooze(after(minutes=15), is_told=True)),
        (crm("rejected"), 1, Dead()),
        (crm("config"), 1, Dead()),
        (crm("not_found"), 1, Dead()),
        (DeliveryError("email", "greylisted", permanent=False), 1, Retry(after(seconds=10))),
        (DeliveryError("email", "no such user", permanent=True), 1, Dead()),
        (RenderError("contract.html", "unknown filter", 7), 1, Dead()),
        (ConfigError([]), 1, Dead()),
        (HeldError("нет ИНН"), 1, Dead()),
        (ZeroDivisionError(), 1, Retry(after(seconds=10))),
        (ConnectionError("reset"), 12, Dead()),
    ],
)
def test_every_error_has_its_consequence(error: Exception, attempts: int, expected: Decision) -> None:
    assert decide(error, attempts, 12, NOW, Middle()) == expected


def test_jitter_spreads_retries_within_a_quarter() -> None:
    rng = random.Random(1)
    waits = [decide(crm("retry"), 1, 12, NOW, rng) for _ in range(200)]
    seconds = [(each.at - NOW).total_seconds() for each in waits if isinstance(each, Retry)]
    assert len(seconds) == 200 and 7.5 <= min(seconds) < 8 and 12 < max(seconds) <= 12.5


def test_all_attempts_together_outlast_a_night() -> None:
    assert timedelta(hours=15) < sum((backoff(n) for n in range(1, 12)), timedelta()) < timedelta(hours=24)


# A worker at work -------------------------------------------------------------------------------------------


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)


@contextmanager
def working(
    queue: JobQueue, handlers: dict[str, Handler], wakeup: WakeUp | None = None, **options: Any
) -> Iterator[Worker]:
    worker = Worker(queue, handlers, clock=queue.clock, wakeup=wakeup, rng=Middle(), **options)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


@pytest.fixture
def queue(db: Database, clock: FixedClock) -> JobQueue:
    return JobQueue(db, clock)


def enqueue(into: JobQueue, tasks: Sequence[str], **options: Any) -> list[int]:
    with into.db.begin() as conn:
        options.setdefault("account", "alpha")
        return [into.enqueue(conn, task, {}, **options) or 0 for task in tasks]


def unfinished(queue: JobQueue) -> int:
    counts = queue.counts()
    return counts.ready + counts.running


def test_jobs_of_an_order_key_are_handled_one_after_the_other(queue: JobQueue) -> None:
    ran: list[int] = []
    ids = enqueue(queue, ["event"] * 20, order_key="deal:1")
    with working(queue, {"event": lambda job: ran.append(job.id)}):
        eventually(lambda: unfinished(queue) == 0, "all done")
    assert ran == ids


def test_a_healthy_job_is_not_held_up_by_many_that_wait_for_their_retry(queue: JobQueue) -> None:
    begun: list[str] = []

    def fail(job: Job) -> None:
        begun.append("failing")
        raise crm("retry")

    enqueue(queue, ["failing"] * 40)
    enqueue(queue, ["healthy"])
    with working(queue, {"failing": fail, "healthy": lambda job: begun.append("healthy")}, threads=2):
        eventually(lambda: "healthy" in begun, "the healthy job begins")
        eventually(lambda: unfinished(queue) == 40, "only the failing are left")
    # The clock stands, so no retry is due: nothing but the failing jobs' first attempts came before.
    assert begun.count("failing") == 40


def test_an_error_is_kept_and_the_retry_comes_at_its_time(queue: JobQueue, clock: FixedClock) -> None:
    attempts: list[int] = []

    def fail_once(job: Job) -> None:
        attempts.append(job.attempts)
        if job.attempts == 1:
            raise crm("retry", 60)

    enqueue(queue, ["event"])
    with working(queue, {"event": fail_once}):
        eventually(lambda: attempts == [1] and queue.counts().ready == 1, "put back")
        assert queue.counts().due == 0
        clock.sleep(timedelta(seconds=60))
        eventually(lambda: unfinished(queue) == 0, "done at the second attempt")
    assert attempts == [1, 2]


def test_a_throttled_job_loses_no_attempt(queue: JobQueue, clock: FixedClock) -> None:
    attempts: list[int] = []

    def throttled(job: Job) -> None:
        attempts.append(job.attempts)
        if len(attempts) < 4:
            raise RetryLater(timedelta(seconds=5))

    def put_back(times: int) -> bool:
        return len(attempts) == times and queue.counts().ready == 1

    enqueue(queue, ["event"], max_attempts=1)
    with working(queue, {"event": throttled}):
        for number in range(1, 4):
            eventually(partial(put_back, number), "put back")
            clock.sleep(timedelta(seconds=5))
        eventually(lambda: unfinished(queue) == 0, "done")
    assert attempts == [1, 1, 1, 1]


def test_a_buried_job_is_reported_where_it_is_buried(queue: JobQueue) -> None:
    told: list[tuple[int, str, int]] = []

    def reject(job: Job) -> None:
        raise crm("rejected")

    def on_dead(job: Job, error: str) -> None:
        told.append((job.id, error, queue.counts().running))
        with queue.db.begin():
            pass  # use cases mark their own rows here

    (job_id,) = enqueue(queue, ["effect"])
    with working(queue, {"effect": reject}, on_dead=on_dead):
        eventually(queue.dead, "buried")
    # Told while the job is still ours: after a crash in between it is told again rather than never.
    assert told == [(job_id, "CrmError: GET /leads: rejected", 1)]
    assert [dead.error for dead in queue.dead()] == ["CrmError: GET /leads: rejected"]


def test_a_job_is_buried_even_when_its_report_fails(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    def on_dead(job: Job, error: str) -> None:
        raise KeyError("no such row")

    def reject(job: Job) -> None:
        raise crm("rejected")

    enqueue(queue, ["effect"])
    with working(queue, {"effect": reject}, on_dead=on_dead):
        eventually(queue.dead, "buried")
    assert "what follows from its death failed" in caplog.text


def test_a_job_that_kills_its_worker_each_time_dies_in_the_end(queue: JobQueue, clock: FixedClock) -> None:
    ran: list[int] = []
    told: list[int] = []
    (job_id,) = enqueue(queue, ["event"], max_attempts=2)
    for _ in range(2):
        # What a killed worker leaves behind: a lease that runs out.
        queue.claim("killed", "work", 1, 1, timedelta(seconds=30))
        clock.sleep(timedelta(seconds=31))
        queue.return_expired()
    with working(
        queue, {"event": lambda job: ran.append(job.id)}, on_dead=lambda job, error: told.append(job.id)
    ):
        eventually(queue.dead, "buried")
    assert ran == [] and told == [job_id]


def test_a_task_of_another_version_waits_for_a_worker_that_knows_it(queue: JobQueue) -> None:
    enqueue(queue, ["task_of_tomorrow"])
    with working(queue, {}):
        eventually(lambda: queue.counts().ready == 1 and queue.counts().due == 0, "put back")
    assert queue.dead() == []


def test_several_queues_are_served_by_one_worker(queue: JobQueue) -> None:
    ran: list[str] = []
    enqueue(queue, ["event"] * 3)
    enqueue(queue, ["report"] * 3, queue="reports")
    enqueue(queue, ["other"], queue="other")
    handlers: dict[str, Handler] = dict.fromkeys(("event", "report"), lambda job: ran.append(job.queue))
    with working(queue, handlers, threads=1, queue_name=("work", "reports")):
        eventually(lambda: len(ran) == 6 and unfinished(queue) == 1, "both served")
    assert sorted(ran[:2]) == ["reports", "work"], "they take turns"


def test_a_stop_waits_for_what_runs_and_begins_nothing_more(queue: JobQueue) -> None:
    begun, release = threading.Event(), threading.Event()
    ended: list[int] = []

    def slow(job: Job) -> None:
        begun.set()
        assert release.wait(DEADLINE_S)
        ended.append(job.id)

    first, _ = enqueue(queue, ["event"] * 2)
    with working(queue, {"event": slow}, threads=1) as worker:
        assert begun.wait(DEADLINE_S)
        worker.stop()
        release.set()
    assert ended == [first]
    assert (queue.counts().ready, queue.counts().running) == (1, 0)
    assert queue.claim("two", "work", 1, 1, timedelta(seconds=1))[0].attempts == 1


def test_a_job_claimed_in_the_moment_of_the_stop_is_handed_back(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    (job_id,) = enqueue(queue, ["event"])
    worker = Worker(queue, {"event": lambda job: ran.append(job.id)}, clock=queue.clock)
    claim = queue.claim

    def claim_and_stop(*args: Any) -> list[Job]:
        claimed = claim(*args)
        worker.stop()
        return claimed

    monkeypatch.setattr(queue, "claim", claim_and_stop)
    worker.run()
    assert ran == []
    monkeypatch.undo()
    (job,) = queue.claim("two", "work", 1, 1, timedelta(seconds=1))
    assert (job.id, job.attempts) == (job_id, 1)


def test_a_worker_that_lost_its_lease_does_not_touch_the_job_again(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[int] = []

    def overtaken(job: Job) -> None:
        # Another worker took the job over while this one was paused.
        with queue.db.begin() as conn:
            conn.exec_driver_sql("UPDATE jobs SET owner = 'two', attempts = 2")
        raise crm("rejected")

    enqueue(queue, ["event"])
    with working(queue, {"event": overtaken}, on_dead=lambda job, error: told.append(job.id)):
        eventually(lambda: "another worker has it" in caplog.text, "it notices")
    assert told == [] and queue.dead() == [] and queue.counts().running == 1


def test_a_long_job_keeps_its_lease_and_its_worker_is_seen(queue: JobQueue, clock: FixedClock) -> None:
    release = threading.Event()
    lease = timedelta(seconds=0.3)
    registry = WorkerRegistry(queue.db, clock)

    def hold(job: Job) -> None:
        release.wait(DEADLINE_S)

    def is_extended() -> bool:
        with queue.db.read() as conn:
            return bool(conn.execute(select(jobs.c.lease_until)).scalar_one() == clock.now() + lease)

    enqueue(queue, ["event"])
    with working(queue, {"event": hold}, lease=lease) as worker:
        eventually(lambda: queue.counts().running == 1, "it runs")
        for _ in range(3):
            clock.sleep(lease * 0.9)
            eventually(is_extended, "the lease counts anew")
        eventually(lambda: [row.running for row in registry.seen_within(lease)] == [1], "it is seen")
        (row,) = registry.seen_within(lease)
        assert (row.owner, row.queues, row.threads) == (worker.owner, ("work",), 4)
        release.set()
        eventually(lambda: unfinished(queue) == 0, "done")
    assert registry.seen_within(timedelta(minutes=1)) == [], "a worker that stops takes its row away"


def test_enqueuing_wakes_a_worker_that_would_look_only_in_an_hour(db: Database) -> None:
    wakeup = WakeUp(db, poll=timedelta(hours=1))
    queue = JobQueue(db, SystemClock(), wakeup.notify)
    ran: list[int] = []

    def has_run(times: int) -> bool:
        return len(ran) == times

    with working(queue, {"event": lambda job: ran.append(job.id)}, wakeup):
        for number in range(1, 4):
            enqueue(queue, ["event"])
            eventually(partial(has_run, number), "woken")
    wakeup.close()


@pytest.mark.postgres
def test_a_worker_outlives_a_database_that_is_away(
    empty_postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    db = Database(empty_postgres_url)
    db.upgrade()
    queue = JobQueue(db, SystemClock())
    name = make_url(empty_postgres_url).database
    server = make_url(empty_postgres_url).set(database="postgres").render_as_string(hide_password=False)
    ran: list[int] = []
    release = threading.Event()

    def slow(job: Job) -> None:
        ran.append(job.id)
        release.wait(DEADLINE_S)

    enqueue(queue, ["slow"])
    with (
        psycopg.connect(server, autocommit=True) as admin,
        working(queue, {"slow": slow}, lease=timedelta(seconds=30)),
    ):
        eventually(lambda: ran, "it runs")
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        release.set()
        eventually(lambda: "the database does not answer" in caplog.text, "it says so")
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        eventually(lambda: "answers again" in caplog.text, "it goes on")
        eventually(lambda: unfinished(queue) == 0, "the outcome is recorded after all")
        enqueue(queue, ["slow"])
        eventually(lambda: len(ran) == 2 and unfinished(queue) == 0, "new work is done")
    db.close()
    assert caplog.text.count("the database does not answer") <= 2, "one sentence, not one a try"
