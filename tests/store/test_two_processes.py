"""What several processes share: the cap of an account, the rate limit, the slots of a schedule."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

from sqlalchemy import select

from connector.clock import FixedClock, SystemClock
from connector.store import schedules
from connector.store.database import Database
from connector.store.jobs import JobQueue, NewJob
from connector.store.schedules import Schedule
from connector.store.schema import jobs
from tests.store.children import kill, lines, spawn, wait_until


def test_no_account_runs_above_its_cap_in_two_processes(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    queue = JobQueue(db, SystemClock())
    log = tmp_path / "cap.log"
    # Jobs that last longer, all together, than a worker sleeps between two looks: the second one finds some.
    children = [spawn("work", database_url, log, "3", "200", "60") for _ in range(2)]
    try:
        wait_until(lambda: len(lines(log)) == 2, "both are up", log)
        with db.begin() as conn:
            queue.enqueue_all(
                conn, [NewJob("step", {"n": n}, account) for account in ("alpha", "beta") for n in range(60)]
            )
        wait_until(lambda: sum(line[0] == "end" for line in lines(log)) == 120, "all jobs done", log)
    finally:
        for child in children:
            kill(child)
    running: Counter[str] = Counter()
    most: dict[str, int] = defaultdict(int)
    processes = set()
    for what, pid, account, _ in lines(log)[2:]:
        processes.add(pid)
        running[account] += 1 if what == "begin" else -1
        most[account] = max(most[account], running[account])
    assert most == {"alpha": 3, "beta": 3}
    assert len(processes) == 2, "both processes took part"


def test_a_worker_told_to_stop_finishes_what_runs_and_leaves_the_rest(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    queue = JobQueue(db, SystemClock())
    with db.begin() as conn:
        queue.enqueue_all(conn, [NewJob("step", {"n": n}, "alpha") for n in range(200)])
    log = tmp_path / "stop.log"
    child = spawn("work", database_url, log, "100", "100", "60")
    try:
        wait_until(lambda: len(lines(log)) > 10, "it works", log)
        child.terminate()
        assert child.wait(timeout=30) == 0
    finally:
        kill(child)
    begun = [line[3] for line in lines(log) if line[0] == "begin"]
    ended = [line[3] for line in lines(log) if line[0] == "end"]
    assert sorted(begun) == sorted(ended) and len(ended) < 200
    assert lines(log)[-1][0] == "stopped"
    counts = queue.counts()
    assert (counts.ready, counts.running) == (200 - len(ended), 0)


def test_two_processes_share_one_rate_limit(
    db: Database, database_url: str, clock: FixedClock, tmp_path: Path
) -> None:
    log = tmp_path / "limit.log"
    children = [spawn("limit", database_url, log, clock.now().isoformat(), "40") for _ in range(2)]
    for child in children:
        child.wait(timeout=60)
    waits = sorted(int(line[1]) for line in lines(log))
    # Time stands still, so the places handed out are exact: a burst of 5, then one each 10 ms.
    assert waits == [0] * 5 + [10_000 * n for n in range(1, 76)]


def test_background_of_one_process_leaves_the_next_place_to_the_urgent_calls_of_another(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "share.log"
    background = spawn("share", database_url, log, "background", "1000")
    try:
        # Alone it takes all places: with a half of them, as once, these 12 would last 2.2 s.
        wait_until(lambda: len(lines(log)) >= 12, "the background has begun", log)
        urgent = spawn("share", database_url, log, "urgent", "10")
        urgent.wait(timeout=60)
    finally:
        kill(background)
    waits = [int(wait) for role, wait, _ in lines(log) if role == "urgent"]
    assert len(waits) == 10
    # One place and a quarter are 125 ms; the rest is for a commit that stands before this one.
    assert max(waits) <= 175_000
    times = [int(at) for role, _, at in lines(log)[:12] if role == "background"]
    # The fastest of these steps is that of an undisturbed machine.
    steps = sorted(late - early for early, late in pairwise(times))
    assert steps[2] < 130_000
    assert {role for role, _, _ in lines(log)[12:]} == {"background", "urgent"}


def test_slots_are_neither_doubled_nor_missed_when_clocks_differ_and_schedulers_die(
    db: Database, database_url: str, clock: FixedClock, tmp_path: Path
) -> None:
    every_minute = Schedule("alpha", "minutely", "* * * * *", "Europe/Moscow", "report")
    with db.begin() as conn:
        schedules.sync(conn, "alpha", [every_minute], clock.now())
    log = tmp_path / "cron.log"
    skews = ["-90", "0", "90"]

    def slots() -> list[datetime]:
        with db.read() as conn:
            args = conn.execute(select(jobs.c.args)).scalars().all()
        return [datetime.fromisoformat(each["slot"]) for each in args]

    def takers() -> list[str]:
        return [line[1] for line in lines(log) if line[0] == "slots"]

    def reached(goal: int) -> bool:
        return len(slots()) >= goal and bool(takers())

    children = {skew: spawn("cron", database_url, log, clock.now().isoformat(), skew) for skew in skews}
    try:
        wait_until(lambda: len(lines(log)) == 3, "all are up", log)
        log.with_suffix(".epoch").touch()
        for number in range(5):
            goal = 12 * (number + 1)
            wait_until(partial(reached, goal), f"{goal} slots", log)
            # Whoever took the last slot: a scheduler nobody waits for may die unnoticed.
            last = takers()[-1]
            skew = next((skew for skew, child in children.items() if str(child.pid) == last), "0")
            kill(children[skew])
            children[skew] = spawn("cron", database_url, log, clock.now().isoformat(), skew)
        wait_until(lambda: len(slots()) >= 70, "70 slots", log)
    finally:
        for child in children.values():
            kill(child)
    taken = sorted(slots())
    first = clock.now() + timedelta(minutes=1)
    # A slot that was passed over while nobody ticked is there too, as skipped: every slot exactly once.
    assert taken == [first + timedelta(minutes=n) for n in range(len(taken))]
    assert len(set(takers())) > 1, "more than one process took slots"
