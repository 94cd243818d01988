"""Timers wait apart from the jobs and become jobs once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from connector.clock import FixedClock
from connector.store import timers
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue
from connector.store.schema import jobs
from connector.store.schema import timers as table


@pytest.fixture
def queue(db: Database, clock: FixedClock) -> JobQueue:
    return JobQueue(db, clock)


def add(queue_of_test: JobQueue, **options: Any) -> int | None:
    given: dict[str, Any] = {
        "account": "alpha",
        "deal_id": "7",
        "due": queue_of_test.clock.now(),
        "task": "step",
        "args": {"v": 1},
        **options,
    }
    with queue_of_test.db.begin() as conn:
        return timers.add(conn, **given)


def claim(queue: JobQueue, name: str = "work") -> list[Job]:
    return queue.claim("one", name, 10, 10, timedelta(seconds=30))


def waiting(db: Database) -> int:
    with db.read() as conn:
        return int(conn.execute(select(func.count()).select_from(table)).scalar_one())


def test_a_timer_becomes_a_job_when_it_is_due_and_not_before(queue: JobQueue, clock: FixedClock) -> None:
    add(queue, due=clock.now() + timedelta(days=2), order_key="deal:7")
    assert timers.promote(queue.db, queue, clock.now()) == 0
    clock.sleep(timedelta(days=2))
    assert timers.promote(queue.db, queue, clock.now()) == 1
    assert timers.promote(queue.db, queue, clock.now()) == 0
    (job,) = claim(queue)
    assert (job.task, job.args, job.account, job.order_key) == ("step", {"v": 1}, "alpha", "deal:7")
    assert waiting(queue.db) == 0


def test_a_waiting_timer_holds_up_nothing_of_its_deal(queue: JobQueue, clock: FixedClock) -> None:
    add(queue, due=clock.now() + timedelta(days=2), order_key="deal:7")
    with queue.db.begin() as conn:
        queue.enqueue(conn, "event", {}, account="alpha", order_key="deal:7")
    assert [job.task for job in claim(queue)] == ["event"]


def test_timers_are_promoted_oldest_first_into_their_queue(queue: JobQueue, clock: FixedClock) -> None:
    for minutes in (1, 3, 2):
        due = clock.now() - timedelta(minutes=minutes)
        add(queue, due=due, args={"n": minutes}, order_key="deal:7", queue="reports")
    assert timers.promote(queue.db, queue, clock.now(), limit=2) == 2
    assert timers.promote(queue.db, queue, clock.now(), limit=2) == 1
    ran = []
    while claimed := claim(queue, "reports"):
        ran.append(claimed[0].args["n"])
        queue.finish(claimed[0])
    assert ran == [3, 2, 1]


def test_cancelling_a_deal_takes_its_timers_and_nobody_elses(queue: JobQueue, clock: FixedClock) -> None:
    for account, deal_id in (("alpha", "7"), ("alpha", "7"), ("alpha", "8"), ("beta", "7"), ("alpha", None)):
        add(queue, account=account, deal_id=deal_id)
    with queue.db.begin() as conn:
        assert timers.cancel_deal(conn, "alpha", "7") == 2
        assert timers.cancel_deal(conn, "alpha", "7") == 0
    assert timers.promote(queue.db, queue, clock.now()) == 3


def test_an_equal_timer_is_added_once_and_makes_no_second_job_later(
    queue: JobQueue, clock: FixedClock
) -> None:
    assert add(queue, dedup="alpha:step:1") is not None
    assert add(queue, dedup="alpha:step:1") is None
    timers.promote(queue.db, queue, clock.now())
    assert add(queue, dedup="alpha:step:1") is not None
    timers.promote(queue.db, queue, clock.now())
    with queue.db.read() as conn:
        assert conn.execute(select(func.count()).select_from(jobs)).scalar_one() == 1


def test_a_rolled_back_transaction_leaves_no_timer(queue: JobQueue, clock: FixedClock) -> None:
    with pytest.raises(ZeroDivisionError), queue.db.begin() as conn:
        timers.add(conn, account="alpha", deal_id="7", due=clock.now(), task="step", args={})
        raise ZeroDivisionError
    assert waiting(queue.db) == 0


def test_many_promoters_make_one_job_of_each_timer(queue: JobQueue, clock: FixedClock) -> None:
    with queue.db.begin() as conn:
        for n in range(120):
            timers.add(conn, account="alpha", deal_id=str(n), due=clock.now(), task="step", args={"n": n})
    promoted: list[int] = []

    def promote() -> None:
        while waiting(queue.db):
            promoted.append(timers.promote(queue.db, queue, clock.now(), limit=7))

    threads = [threading.Thread(target=promote) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with queue.db.read() as conn:
        made = [args["n"] for args in conn.execute(select(jobs.c.args)).scalars()]
    assert sorted(made) == list(range(120)) and sum(promoted) == 120
