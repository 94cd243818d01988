"""Workers are killed in the middle of their work again and again: nothing is lost, the order is kept."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import Popen

from connector.clock import SystemClock
from connector.store.database import Database
from connector.store.jobs import JobQueue, NewJob
from tests.store.children import kill, lines, spawn, wait_until

KEYS = 40
JOBS_OF_A_KEY = 50
TOTAL = KEYS * JOBS_OF_A_KEY
KILLS = 12
WORKERS = 2
#: Short, for a quick takeover, and longer than a busy machine makes a living worker wait.
LEASE_S = "3"


@contextmanager
def workers_of(url: str, log: Path, number: int, *args: str) -> Iterator[list[Popen[str]]]:
    children = [spawn("work", url, log, *args) for _ in range(number)]
    try:
        yield children
    finally:
        for child in children:
            kill(child)


def enqueue(db: Database) -> JobQueue:
    queue = JobQueue(db, SystemClock())
    with db.begin() as conn:
        queue.enqueue_all(
            conn,
            [
                NewJob("step", {"n": n}, "alpha", order_key=f"deal:{key}", max_attempts=100)
                for n in range(JOBS_OF_A_KEY)
                for key in range(KEYS)
            ],
        )
    return queue


def test_killed_workers_lose_nothing_and_keep_the_order(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    queue = enqueue(db)
    log = tmp_path / "storm.log"

    def ended() -> set[tuple[str, str]]:
        return {(line[2], line[3]) for line in lines(log) if line[0] == "end"}

    def reached(goal: int) -> bool:
        return len(ended()) >= goal

    with workers_of(database_url, log, WORKERS, "100", "8", LEASE_S) as children:
        for number in range(KILLS):
            # Paced by progress, not by time: each kill finds a worker that has just begun something.
            goal = TOTAL * (number + 1) // (KILLS + 2)
            wait_until(partial(reached, goal), f"{goal} jobs done", log)
            busy = {int(line[1]) for line in lines(log)[-20:]}
            victim = random.choice([child for child in children if child.pid in busy] or children)
            kill(victim)
            children[children.index(victim)] = spawn("work", database_url, log, "100", "8", LEASE_S)
        wait_until(lambda: queue.counts().ready + queue.counts().running == 0, "the queue is empty", log)

    assert ended() == {(f"deal:{key}", str(n)) for key in range(KEYS) for n in range(JOBS_OF_A_KEY)}
    assert queue.dead() == []
    assert out_of_order(log) == []
    repeats = sum(line[0] == "begin" for line in lines(log)) - TOTAL
    assert repeats > 0, "a storm in which no job was running when its worker died proves nothing"


def out_of_order(log: Path) -> list[str]:
    """Begins before the end of the job before, of a job that was passed already, or beside another one."""
    wrong: list[str] = []
    passed: dict[str, int] = defaultdict(lambda: -1)
    begun: dict[str, int] = defaultdict(lambda: -1)
    for what, _, *rest in lines(log):
        if not rest:
            continue
        key, n = rest[0], int(rest[1])
        if what == "end":
            passed[key] = max(passed[key], n)
        elif n < begun[key] or n > passed[key] + 1:
            wrong.append(f"{key}: {n} begun when {begun[key]} was begun and {passed[key]} had ended")
        else:
            begun[key] = n
    return wrong
