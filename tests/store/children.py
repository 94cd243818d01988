"""What the child processes of the crash tests do: `python -m tests.store.children MODE URL LOG …`.

They tell what they did by appending lines to the file LOG: one write is one line, whoever else writes, and it
survives SIGKILL.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from connector.clock import FixedClock, SystemClock
from connector.crm.share import BackgroundShare
from connector.store import schedules
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue
from connector.store.rate_limits import SharedLimiter
from connector.store.wakeup import WakeUp
from connector.worker import Worker

ROOT = Path(__file__).parents[2]
#: One second of the test is ten minutes of the schedule.
CRON_SPEED = 600


def spawn(mode: str, url: str, log: Path, *args: str) -> subprocess.Popen[str]:
    """A child in a process group of its own, its errors kept in a file beside the log."""
    command = [sys.executable, "-m", "tests.store.children", mode, url, str(log), *args]
    with log.with_suffix(".errors").open("a") as errors:
        return subprocess.Popen(command, cwd=ROOT, stderr=errors, text=True, start_new_session=True)


def kill(child: subprocess.Popen[str]) -> None:
    """As the machine's power cut would: no handler, no clean-up."""
    child.send_signal(signal.SIGKILL)
    child.wait()


def lines(log: Path) -> list[list[str]]:
    """What all children have written so far, in the order of writing."""
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def wait_until(
    condition: Callable[[], bool], what: str, log: Path | None = None, timeout_s: float = 120
) -> None:
    """Return once `condition` holds; fail with the children's errors when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            errors = log.with_suffix(".errors").read_text()[-3000:] if log else ""
            raise AssertionError(f"never happened: {what}\n{errors}")
        time.sleep(0.02)


def _teller(log: str) -> Callable[..., None]:
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(*words: object) -> None:
        os.write(file, (" ".join(map(str, words)) + "\n").encode())

    return tell


def _work(url: str, log: str, cap: str, slowest_ms: str, lease_s: str) -> None:
    tell = _teller(log)
    db = Database(url)

    def handle(job: Job) -> None:
        tell("begin", os.getpid(), job.order_key or job.account, job.args["n"])
        time.sleep(random.random() * int(slowest_ms) / 1000)
        tell("end", os.getpid(), job.order_key or job.account, job.args["n"])

    wakeup = WakeUp(db)
    queue = JobQueue(db, SystemClock(), wakeup.notify)
    worker = Worker(
        queue,
        {"step": handle},
        clock=SystemClock(),
        threads=4,
        cap_per_account=int(cap),
        wakeup=wakeup,
        lease=timedelta(seconds=float(lease_s)),
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    tell("up", os.getpid())
    worker.run()
    tell("stopped", os.getpid())


def _limit(url: str, log: str, now: str, number: str) -> None:
    tell = _teller(log)
    limiter = SharedLimiter(Database(url), FixedClock(datetime.fromisoformat(now)))
    for _ in range(int(number)):
        wait = limiter.acquire("alpha", rate_per_s=100, burst=5, max_wait=timedelta(minutes=1))
        tell("wait", wait // timedelta(microseconds=1))


def _share(url: str, log: str, role: str, number: str) -> None:
    """Takes places in one limit of 10 a second, as background work does or as what people wait for."""
    tell = _teller(log)
    clock = SystemClock()
    shared = SharedLimiter(Database(url), clock)
    limiter = BackgroundShare(shared, clock) if role == "background" else shared
    for _ in range(int(number)):
        wait = limiter.acquire("alpha", rate_per_s=10, burst=1, max_wait=timedelta(minutes=1))
        tell(role, wait // timedelta(microseconds=1), time.monotonic_ns() // 1000)
        clock.sleep(wait + timedelta(milliseconds=random.random() * 60 if role == "urgent" else 0))


def _cron(url: str, log: str, start: str, skew_s: str) -> None:
    tell = _teller(log)
    db = Database(url)
    queue = JobQueue(db, SystemClock())
    tell("up", os.getpid())
    epoch_file = Path(log).with_suffix(".epoch")
    while not epoch_file.exists():
        time.sleep(0.01)
    epoch = epoch_file.stat().st_mtime
    while True:
        elapsed = timedelta(seconds=(time.time() - epoch) * CRON_SPEED + float(skew_s))
        number = schedules.tick(db, queue, datetime.fromisoformat(start) + elapsed)
        if number:
            tell("slots", os.getpid(), number)
        time.sleep(0.01)


MODES: dict[str, Callable[..., None]] = {"work": _work, "limit": _limit, "share": _share, "cron": _cron}

if __name__ == "__main__":
    MODES[sys.argv[1]](*sys.argv[2:])
