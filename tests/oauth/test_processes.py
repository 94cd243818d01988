"""Several processes and one pair that is good once; a process that dies at the worst moment."""

from __future__ import annotations

import json
import logging
import signal
import threading
from datetime import timedelta

import pytest

from connector.errors import CrmError
from tests.oauth.children import end, hear, spawn, tell
from tests.oauth.stand import BOTH, Stand

PROCESSES = 4
THREADS = 8


@BOTH
def test_of_many_processes_one_renews_and_the_others_take_the_new_pair(stand: Stand) -> None:
    stand.age()
    before = stand.stored().version
    children = [spawn("renew", stand.env) for _ in range(PROCESSES)]
    assert [hear(child) for child in children] == ["ready"] * PROCESSES
    for child in children:
        tell(child, "go")
    said = [json.loads(hear(child)) for child in children]
    assert [end(child) for child in children] == [0] * PROCESSES
    assert stand.token_calls == 1
    assert {one["version"] for one in said} == {before + 1}
    assert all(one["name"] for one in said)


def test_of_many_threads_one_renews(stand: Stand) -> None:
    stand.spoil()
    client, names = stand.app.clients["main"], []
    threads = [
        threading.Thread(target=lambda: names.append(client.account_info().name)) for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(names) == THREADS
    assert stand.token_calls == 1


@BOTH
def test_a_pair_lost_between_answer_and_writing_is_told_as_that(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.age()
    child = spawn("die", stand.env)
    assert hear(child) == "ready"
    tell(child, "go")
    assert hear(child) == ""
    assert end(child) == -signal.SIGKILL
    assert stand.token_calls == 1
    with pytest.raises(CrmError) as caught:
        stand.name()  # waits until the dead process's lease is over
    assert caught.value.kind == "reauth"
    assert stand.token_calls == 2
    state = stand.app.grants.state("main")
    assert state is not None and "оборвалось" in state.problem and "connector connect" in state.problem
    assert [r.levelno for r in caplog.records if getattr(r, "action", "") == "consent_needed"] == [
        logging.ERROR
    ]
    stand.consent()
    assert stand.name()


def test_a_process_that_dies_before_the_answer_costs_nothing(stand: Stand) -> None:
    """The pair is still good: the next one renews it, and nobody is told anything."""
    stand.age()
    claim = stand.app.grants.claim("main", stand.stored().version, timedelta(milliseconds=1))
    assert claim is not None
    assert stand.name()
    state = stand.app.grants.state("main")
    assert state is not None and state.problem == ""


def test_a_consent_given_while_an_old_pair_is_renewed_wins(stand: Stand) -> None:
    stored = stand.stored()
    stand.consent()
    newer = stand.stored()
    assert not stand.app.grants.replace("main", stored.version, stored.grant)
    assert stand.stored() == newer
