"""Measures the work engine on a database of the reader's own: `python benchmarks/engine.py [URL …]`.

Prints, for each database, how fast work is enqueued and drained, how soon a fresh job starts, and what a
million pending timers do to that. Times depend on the machine and its disk; the ratios should not.
Without URL a temporary SQLite file is measured. A PostgreSQL database must be empty and is left with the
tables and rows.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import insert

from connector.clock import SystemClock
from connector.store import timers
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue, NewJob
from connector.store.rate_limits import SharedLimiter
from connector.store.schema import timers as timers_table
from connector.store.wakeup import WakeUp
from connector.worker import Worker

BATCH = 10_000
STEPS_OF_A_DEAL = 5


class Bench:
    """One database under measurement."""

    def __init__(self, url: str) -> None:
        self.db = Database(url)
        self.db.upgrade()
        self.clock = SystemClock()
        self.wakeup = WakeUp(self.db)
        self.queue = JobQueue(self.db, self.clock, self.wakeup.notify)
        self.started: dict[int, float] = {}
        self.began = threading.Condition()

    @contextmanager
    def worker(self, threads: int = 4) -> Iterator[None]:
        """A worker in this process that notes when each job begins."""
        worker = Worker(
            self.queue,
            {"bench": self._note},
            clock=self.clock,
            threads=threads,
            cap_per_account=threads,
            wakeup=self.wakeup,
        )
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join()

    def _note(self, job: Job) -> None:
        with self.began:
            self.started[job.args["n"]] = time.perf_counter()
            self.began.notify_all()

    def wait_for(self, numbers: range) -> None:
        """Return once the jobs of these numbers have begun."""
        with self.began:
            self.began.wait_for(lambda: all(n in self.started for n in numbers))

    def enqueue(self, n: int) -> None:
        """One job in a transaction of its own, as a webhook does it."""
        with self.db.begin() as conn:
            self.queue.enqueue(conn, "bench", {"n": n}, account="alpha", order_key=f"deal:{n}")

    def enqueue_rate(self, number: int = 500) -> float:
        """Transactions a second, one job each, one thread."""

        def enqueue() -> None:
            for n in range(number):
                self.enqueue(-1 - n)

        seconds = timed(enqueue)
        with self.db.begin() as conn:
            conn.exec_driver_sql("DELETE FROM jobs")
        return number / seconds

    def drain_rate(self, number: int = 2000) -> float:
        """Jobs a second that one worker with four threads gets through; each does nothing."""
        base = len(self.started)
        with self.db.begin() as conn:
            self.queue.enqueue_all(
                conn,
                [
                    NewJob("bench", {"n": base + n}, "alpha", order_key=f"deal:{n % 200}")
                    for n in range(number)
                ],
            )
        began = time.perf_counter()
        with self.worker():
            self.wait_for(range(base, base + number))
            seconds = time.perf_counter() - began
        return number / seconds

    def start_latency_ms(self, number: int = 200) -> list[float]:
        """From the begin of the enqueueing transaction to the handler's first line, worker idle before."""
        base = len(self.started)
        waits = []
        with self.worker():
            time.sleep(0.5)
            for n in range(base, base + number):
                began = time.perf_counter()
                self.enqueue(n)
                self.wait_for(range(n, n + 1))
                waits.append((self.started[n] - began) * 1000)
                time.sleep(0.005)
        return sorted(waits)

    def add_timers(self, number: int) -> float:
        """Seconds to add that many timers, spread over 300 days."""
        now = self.clock.now() + timedelta(days=1)

        def add() -> None:
            for first in range(0, number, BATCH):
                rows = [
                    {
                        "account": "alpha",
                        "deal_id": str(n // STEPS_OF_A_DEAL),
                        "due": now + timedelta(days=300) * n / number,
                        "queue": "work",
                        "task": "bench",
                        "args": {},
                    }
                    for n in range(first, min(first + BATCH, number))
                ]
                with self.db.begin() as conn:
                    conn.execute(insert(timers_table), rows)
            with self.db.begin() as conn:
                conn.exec_driver_sql("ANALYZE")

        return timed(add)

    def cancel_ms(self, number_of_timers: int, times: int = 100) -> list[float]:
        """Cancelling all timers of one deal, transaction included."""
        step = max(1, number_of_timers // STEPS_OF_A_DEAL // times)

        def cancel(deal_id: int) -> None:
            with self.db.begin() as conn:
                assert timers.cancel_deal(conn, "alpha", str(deal_id)) == STEPS_OF_A_DEAL

        return sorted(timed(partial(cancel, n * step)) * 1000 for n in range(times))

    def promote_rate(self, number: int = 5000) -> float:
        """Timers a second that become jobs."""
        with self.db.begin() as conn:
            row = {"account": "beta", "due": self.clock.now(), "queue": "other", "task": "bench", "args": {}}
            conn.execute(insert(timers_table), [row] * number)

        def promote() -> None:
            while timers.promote(self.db, self.queue, self.queue.now()):
                pass

        return number / timed(promote)

    def limiter_ms(self, times: int = 300) -> list[float]:
        """One question to the shared limiter."""
        limiter = SharedLimiter(self.db, self.clock)

        def acquire() -> None:
            limiter.acquire("bench", rate_per_s=1000, burst=1000, max_wait=timedelta(minutes=1))

        return sorted(timed(acquire) * 1000 for _ in range(times))


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spread(milliseconds: list[float]) -> str:
    """«p50 … p99 …» of sorted values."""
    p99 = milliseconds[int(len(milliseconds) * 0.99) - 1]
    return f"p50 {statistics.median(milliseconds):8.2f} ms   p99 {p99:8.2f} ms"


def measure(url: str, number_of_timers: int) -> None:
    """Print all figures of one database."""
    bench = Bench(url)
    print(f"\n{bench.db.dialect}")
    print(f"  enqueue, a transaction each     {bench.enqueue_rate():8.0f} /s")
    print(f"  drain, one worker, 4 threads    {bench.drain_rate():8.0f} /s")
    print(f"  rate limiter                    {spread(bench.limiter_ms())}")
    before = bench.start_latency_ms()
    print(f"  fresh job starts                {spread(before)}")
    seconds = bench.add_timers(number_of_timers)
    print(f"  {number_of_timers:,} timers added in {seconds:.0f} s")
    after = bench.start_latency_ms()
    ratio = statistics.median(after) / statistics.median(before)
    print(f"  fresh job starts                {spread(after)}   {ratio:.2f} times as long as without timers")
    print(f"  one deal's timers cancelled     {spread(bench.cancel_ms(number_of_timers))}")
    print(f"  due timers become jobs          {bench.promote_rate():8.0f} /s")
    bench.wakeup.close()
    bench.db.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("urls", nargs="*", metavar="URL")
    parser.add_argument("--timers", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for url in options.urls or [f"sqlite:///{folder}/bench.db"]:
            measure(url, options.timers)


if __name__ == "__main__":
    main()
