"""Ticks: due timers and slots become jobs, and whatever else was handed in is called in its rhythm.

APScheduler gives the ticking threads and nothing durable: its store is memory, and all that must survive is
in our tables. Any number of processes may run one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from connector.clock import Clock
from connector.store import schedules, timers
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.store.outage import Outage, StoreError

log = logging.getLogger(__name__)

TICK = timedelta(seconds=1)
PRUNE_EVERY = timedelta(hours=1)
#: Done jobs are kept this long: for questions, and because their dedup keys keep repeats away.
KEEP_FINISHED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Tick:
    """Something to be called `every` so often. It must be harmless when several processes do it."""

    name: str
    every: timedelta
    run: Callable[[], object]


class Scheduler:
    """The ticks of one process. One that is still running is not begun again; one that fails comes again."""

    def __init__(self, db: Database, queue: JobQueue, clock: Clock, extra_ticks: Sequence[Tick] = ()) -> None:
        self._db = db
        self._queue = queue
        self._clock = clock
        self._outage = Outage("scheduler")
        self.ticks: tuple[Tick, ...] = (
            Tick("timers", TICK, self.promote_timers),
            Tick("schedules", TICK, self.take_slots),
            Tick("prune", PRUNE_EVERY, self.prune),
            *extra_ticks,
        )
        self._scheduler: BackgroundScheduler | None = None

    def start(self) -> None:
        """Begin to tick, in threads of its own, each tick at once and then in its rhythm."""
        # It tells of every single run, and of every tick that was still running when its time came.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(max(2, len(self.ticks)))},
            # A tick that comes late is still wanted, and one is enough for all that were missed.
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
        )
        for tick in self.ticks:
            scheduler.add_job(
                self.run_tick,
                "interval",
                args=(tick,),
                seconds=tick.every.total_seconds(),
                id=tick.name,
                next_run_time=self._clock.now(),
            )
        scheduler.start()
        self._scheduler = scheduler

    def stop(self) -> None:
        """End; returns when the ticks that run have ended."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None

    def run_tick(self, tick: Tick) -> None:
        """Run one tick; its failure is logged and does not stop the others."""
        try:
            tick.run()
        except StoreError as error:
            self._outage.failed(error)
        except Exception:
            log.exception("tick %s failed; it comes again", tick.name, extra={"action": "tick_failed"})
        else:
            self._outage.over()

    def promote_timers(self) -> int:
        """How many timers became jobs: all that are due now."""
        now = self._queue.now()
        promoted = 0
        while (number := timers.promote(self._db, self._queue, now)) > 0:
            promoted += number
        return promoted

    def take_slots(self) -> int:
        """How many jobs were enqueued for slots that are due now."""
        return schedules.tick(self._db, self._queue, self._queue.now())

    def prune(self) -> int:
        """How many finished jobs were old enough to go."""
        return self._queue.prune(self._queue.now() - KEEP_FINISHED)
