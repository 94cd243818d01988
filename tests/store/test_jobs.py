"""The queue's contract, the same on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connector.clock import FixedClock, SystemClock
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue, NewJob
from connector.store.schema import jobs

LEASE = timedelta(seconds=30)


@pytest.fixture
def queue(db: Database, clock: FixedClock) -> JobQueue:
    return JobQueue(db, clock)


def add(jobs_of: JobQueue, task: str = "event", **options: Any) -> int | None:
    options.setdefault("account", "alpha")
    with jobs_of.db.begin() as conn:
        return jobs_of.enqueue(conn, task, {"v": 1}, **options)


def claim(
    queue: JobQueue, owner: str = "one", limit: int = 10, cap: int = 100, name: str = "work"
) -> list[Job]:
    return queue.claim(owner, name, limit, cap, LEASE)


def claim_one(queue: JobQueue, owner: str = "one") -> Job:
    (job,) = claim(queue, owner)
    return job


def test_a_rolled_back_transaction_leaves_no_job(queue: JobQueue) -> None:
    with pytest.raises(ZeroDivisionError), queue.db.begin() as conn:
        queue.enqueue(conn, "event", {}, account="alpha")
        raise ZeroDivisionError
    assert claim(queue) == []


def test_a_job_carries_what_it_was_given(queue: JobQueue, clock: FixedClock) -> None:
    job_id = add(queue, order_key="deal:7", max_attempts=5)
    assert claim(queue) == [
        Job(job_id or 0, "work", "event", {"v": 1}, "alpha", "deal:7", 1, 5, "one", clock.now() + LEASE)
    ]


def test_an_equal_dedup_makes_no_second_job_even_after_the_first_is_done(queue: JobQueue) -> None:
    assert add(queue, dedup="alpha:1") is not None
    assert add(queue, dedup="alpha:1") is None
    queue.finish(claim_one(queue))
    assert add(queue, dedup="alpha:1") is None
    assert add(queue, dedup="alpha:2") is not None
    assert add(queue) is not None and add(queue) is not None, "jobs without dedup are never equal"


def test_enqueue_all_keeps_the_order_and_leaves_out_what_exists(queue: JobQueue) -> None:
    add(queue, task="first", dedup="alpha:1", order_key="deal:1")
    with queue.db.begin() as conn:
        queue.enqueue_all(
            conn,
            [
                NewJob("again", {}, "alpha", dedup="alpha:1"),
                NewJob("second", {}, "alpha", order_key="deal:1"),
                NewJob("third", {}, "alpha", order_key="deal:1"),
            ],
        )
        queue.enqueue_all(conn, [])
    ran = []
    while claimed := claim(queue):
        ran += [job.task for job in claimed]
        queue.finish(claimed[0])
    assert ran == ["first", "second", "third"]


def test_a_job_is_claimed_once_and_the_oldest_due_first(queue: JobQueue, clock: FixedClock) -> None:
    late = add(queue, run_at=clock.now() - timedelta(minutes=1))
    early = add(queue, run_at=clock.now() - timedelta(minutes=2))
    add(queue, run_at=clock.now() + timedelta(seconds=1))
    assert [job.id for job in claim(queue)] == [early, late]
    assert claim(queue, "two") == []
    clock.sleep(timedelta(seconds=1))
    assert len(claim(queue, "two")) == 1


def test_queues_are_apart(queue: JobQueue) -> None:
    add(queue, task="report", queue="reports")
    assert claim(queue) == []
    assert queue.has_due(["work", "reports"]) and not queue.has_due(["work"])
    assert [job.task for job in claim(queue, name="reports")] == ["report"]


def test_only_the_head_of_an_order_key_is_claimed(queue: JobQueue) -> None:
    first, second = add(queue, order_key="deal:1"), add(queue, order_key="deal:1")
    other = add(queue, order_key="deal:2")
    loose = [add(queue), add(queue)]
    claimed = claim(queue)
    assert [job.id for job in claimed] == [first, other, *loose]
    assert claim(queue) == []
    queue.finish(claimed[0])
    assert [job.id for job in claim(queue)] == [second]


def test_equal_order_keys_of_two_accounts_do_not_wait_for_each_other(queue: JobQueue) -> None:
    add(queue, account="alpha", order_key="deal:1")
    add(queue, account="beta", order_key="deal:1")
    assert {job.account for job in claim(queue)} == {"alpha", "beta"}


def test_a_job_waiting_for_its_retry_keeps_its_place(queue: JobQueue, clock: FixedClock) -> None:
    first, second = add(queue, order_key="deal:1"), add(queue, order_key="deal:1")
    assert queue.retry(claim_one(queue), clock.now() + timedelta(minutes=5), "CrmError: 503")
    assert claim(queue) == []
    clock.sleep(timedelta(minutes=5))
    job = claim_one(queue)
    assert (job.id, job.attempts) == (first, 2)
    queue.finish(job)
    assert claim_one(queue).id == second


def test_an_earlier_id_that_is_committed_late_does_not_run_beside_its_successor(queue: JobQueue) -> None:
    early = add(queue, order_key="deal:1") or 0
    late = add(queue, order_key="deal:1")
    # What a slow transaction looks like from outside: the later row is there, the earlier is not yet.
    with queue.db.begin() as conn:
        conn.execute(jobs.update().where(jobs.c.id == early).values(state="cancelled"))
    running = claim_one(queue)
    assert running.id == late
    with queue.db.begin() as conn:
        conn.execute(jobs.update().where(jobs.c.id == early).values(state="ready"))
    assert claim(queue) == []
    queue.finish(running)
    assert claim_one(queue).id == early


def test_a_cancelled_job_never_runs_and_a_running_one_is_not_cancelled(queue: JobQueue) -> None:
    waiting, following = add(queue, order_key="deal:1") or 0, add(queue, order_key="deal:1") or 0
    with queue.db.begin() as conn:
        assert queue.cancel(conn, waiting)
        assert not queue.cancel(conn, waiting)
    job = claim_one(queue)
    assert job.id == following
    with queue.db.begin() as conn:
        assert not queue.cancel(conn, following)
    assert queue.finish(job)


def test_a_dead_job_is_listed_with_its_error_lets_its_deal_go_on_and_can_be_requeued(
    queue: JobQueue, clock: FixedClock
) -> None:
    first, second = add(queue, order_key="deal:1") or 0, add(queue, order_key="deal:1")
    assert queue.bury(claim_one(queue), "RenderError: contract.html:7")
    (dead,) = queue.dead()
    assert (dead.id, dead.error, dead.attempts, dead.died_at) == (
        first,
        "RenderError: contract.html:7",
        1,
        clock.now(),
    )
    assert queue.dead("alpha") == [dead] and queue.dead("beta") == []
    queue.finish(claim_one(queue))
    with queue.db.begin() as conn:
        assert queue.requeue(conn, first)
        assert not queue.requeue(conn, first)
        assert not queue.requeue(conn, second or 0), "only a dead job can be requeued"
    job = claim_one(queue)
    assert (job.id, job.attempts) == (first, 1)
    assert queue.dead() == []


def test_a_snooze_and_a_job_handed_back_count_no_attempt(queue: JobQueue, clock: FixedClock) -> None:
    add(queue)
    for _ in range(5):
        job = claim_one(queue)
        assert job.attempts == 1
        assert queue.snooze(job, clock.now() + timedelta(seconds=3))
        assert claim(queue) == []
        clock.sleep(timedelta(seconds=3))
    assert queue.hand_back(claim_one(queue))
    assert claim_one(queue).attempts == 1


def test_a_lease_that_ran_out_returns_the_job_and_fences_its_former_owner(
    queue: JobQueue, clock: FixedClock
) -> None:
    add(queue, order_key="deal:1")
    lost = claim_one(queue, "one")
    clock.sleep(LEASE)
    assert queue.return_expired() == [], "a lease holds to its last moment"
    clock.sleep(timedelta(seconds=1))
    assert queue.return_expired() == [lost.id]
    taken = claim_one(queue, "two")
    assert taken.attempts == 2, "a claim counts, so a job that kills its worker dies of it in the end"
    later = clock.now() + timedelta(hours=1)
    assert queue.extend_leases([lost], LEASE) == set()
    assert not queue.finish(lost)
    assert not queue.retry(lost, later, "late")
    assert not queue.snooze(lost, later)
    assert not queue.bury(lost, "late")
    assert queue.finish(taken)
    assert queue.counts().dead == 0 and queue.counts().ready == 0


def test_the_same_owner_is_fenced_off_its_own_earlier_attempt(queue: JobQueue, clock: FixedClock) -> None:
    add(queue)
    lost = claim_one(queue, "one")
    clock.sleep(LEASE * 2)
    queue.return_expired()
    again = claim_one(queue, "one")
    assert not queue.finish(lost)
    assert queue.finish(again)


def test_an_extended_lease_is_not_returned(queue: JobQueue, clock: FixedClock) -> None:
    add(queue)
    add(queue)
    kept, lost = claim(queue)
    clock.sleep(LEASE * 0.9)
    assert queue.extend_leases([kept], LEASE) == {kept.id}
    clock.sleep(LEASE * 0.9)
    assert queue.return_expired() == [lost.id]


def test_no_account_runs_more_than_its_cap_and_none_starves_behind_it(queue: JobQueue) -> None:
    crowd = [add(queue, account="alpha") for _ in range(200)]
    lonely = add(queue, account="beta")
    claimed = claim(queue, limit=5, cap=3)
    assert [job.id for job in claimed] == [*crowd[:3], lonely]
    assert claim(queue, "two", limit=5, cap=3) == []
    queue.finish(claimed[0])
    assert [job.id for job in claim(queue, "two", limit=5, cap=3)] == [crowd[3]]


def test_counts_tell_what_waits_and_since_when(queue: JobQueue, clock: FixedClock) -> None:
    since = clock.now() - timedelta(minutes=3)
    add(queue, run_at=since)
    add(queue, run_at=clock.now() + timedelta(hours=1))
    add(queue, account="beta", run_at=since - timedelta(minutes=1))
    claim(queue, limit=1)
    counts = queue.counts()
    assert (counts.ready, counts.due, counts.running, counts.dead) == (2, 1, 1, 0)
    assert counts.oldest_due == since
    assert queue.counts("beta").running == 1 and queue.counts("beta").oldest_due is None


def test_prune_deletes_what_ended_before_and_keeps_the_dead(queue: JobQueue, clock: FixedClock) -> None:
    for number in range(4):
        add(queue, dedup=f"alpha:{number}")
    done, dead, _, _ = claim(queue)
    queue.finish(done)
    queue.bury(dead, "lost")
    clock.sleep(timedelta(days=1))
    cancelled = add(queue) or 0
    with queue.db.begin() as conn:
        queue.cancel(conn, cancelled)
    assert queue.prune(clock.now()) == 1
    assert queue.prune(clock.now() + timedelta(seconds=1)) == 1
    assert queue.counts().running == 2 and len(queue.dead()) == 1


def test_enqueuing_announces_itself_after_the_commit(db: Database, clock: FixedClock) -> None:
    hints: list[int] = []
    queue = JobQueue(db, clock, lambda: hints.append(1))
    with db.begin() as conn:
        queue.enqueue(conn, "event", {}, account="alpha")
        queue.enqueue(conn, "event", {}, account="alpha")
        assert hints == []
    assert hints == [1], "once a transaction is enough"
    with db.begin() as conn:
        queue.enqueue(conn, "event", {}, account="alpha", run_at=clock.now() + timedelta(hours=1))
    assert hints == [1], "what is not due yet wakes nobody"


@pytest.mark.postgres
def test_on_postgresql_the_servers_clock_decides_whatever_the_machine_thinks(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database(postgres_url)
    honest, skewed = JobQueue(db, SystemClock()), JobQueue(db, SystemClock())
    wrong = SystemClock().now() + timedelta(hours=2)
    monkeypatch.setattr(skewed.clock, "now", lambda: wrong, raising=False)
    add(skewed)
    (job,) = honest.claim("one", "work", 1, 1, LEASE)
    assert abs(skewed.now() - honest.now()) < timedelta(minutes=1)
    assert skewed.return_expired() == [], "a machine two hours ahead takes no running job away"
    assert honest.finish(job)
    db.close()
