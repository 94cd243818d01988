"""Hints reach who waits, in this process and, on PostgreSQL, in others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from connector.store.database import Database
from connector.store.wakeup import CHANNEL, WakeUp

LONG = timedelta(seconds=30)


@pytest.fixture
def wakeup(db: Database) -> Iterator[WakeUp]:
    wakeup = WakeUp(db)
    yield wakeup
    wakeup.close()


def test_a_hint_given_before_the_wait_is_not_lost(wakeup: WakeUp) -> None:
    seen = wakeup.hints
    wakeup.notify()
    assert wakeup.wait(seen, LONG)


def test_a_hint_wakes_everybody_who_waits(wakeup: WakeUp) -> None:
    woken: list[bool] = []
    waiters = [threading.Thread(target=lambda: woken.append(wakeup.wait(0, LONG))) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    wakeup.kick()
    for waiter in waiters:
        waiter.join()
    assert woken == [True] * 3


def test_without_a_hint_the_wait_ends_by_itself(wakeup: WakeUp) -> None:
    wakeup.kick()
    seen = wakeup.hints + 1
    assert not wakeup.wait(seen, timedelta(milliseconds=10))


@pytest.mark.postgres
def test_a_hint_reaches_another_process_on_postgresql(postgres_url: str) -> None:
    here, there = Database(postgres_url), Database(postgres_url)
    sender, receiver = WakeUp(here), WakeUp(there)
    assert receiver.wait(0, LONG), "the open channel is a hint itself: what came before has to be looked for"
    seen = receiver.hints
    sender.notify()
    assert receiver.wait(seen, LONG)
    sender.close()
    receiver.close()
    here.close()
    there.close()


@pytest.mark.postgres
def test_many_hints_become_few_notifications(postgres_url: str) -> None:
    db = Database(postgres_url)
    wakeup = WakeUp(db)
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(f"LISTEN {CHANNEL}")
        for _ in range(500):
            wakeup.notify()
        wakeup.close()
        received = len(list(conn.notifies(timeout=0.2)))
    db.close()
    assert 1 <= received < 50


@pytest.mark.postgres
def test_a_broken_channel_is_opened_again(postgres_url: str) -> None:
    db = Database(postgres_url)
    wakeup = WakeUp(db)
    assert wakeup.wait(0, LONG)
    seen = wakeup.hints
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        killed = conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).rowcount
    assert killed >= 1
    assert wakeup.wait(seen, LONG), "it listens again, and looks for what it may have missed"
    wakeup.close()
    db.close()
