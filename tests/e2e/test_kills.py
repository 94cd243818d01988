"""Workers die again and again, at any moment, also one of two while hooks come twice and out of order: after
a restart every effect is there once."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from connector.sandbox.app import Sandbox
from connector.store import numbers
from connector.store.schema import documents, number_series, outbox
from tests.e2e.office import Office
from tests.e2e.programs import Installation, Program, is_alive

#: How often the worker is killed and how many deals of each CRM move meanwhile, on each database.
STORMS = {"sqlite": (10, 13), "postgresql": (5, 8)}
#: PostgreSQL is shared by any number of workers; which one of them dies is chance.
WORKERS = {"sqlite": 1, "postgresql": 2}
STAGES = ("Счёт выставлен", "Встреча проведена", "Счёт выставлен", "Счёт выставлен")


@dataclass(frozen=True, slots=True)
class Moved:
    """A deal that was put into a stage, with the address of its client."""

    office: Office
    deal_id: int
    stage: str
    email: str


def test_what_a_killed_worker_was_doing_is_there_once(
    own_sandbox: Sandbox, database_url: str, tmp_path: Path
) -> None:
    rng = random.Random(24)
    with Installation(own_sandbox, database_url, tmp_path) as here:
        here.start_web()
        workers = [here.start("worker") for _ in range(WORKERS[here.app.db.dialect])]
        calm = [
            move(office, number, stage)
            for office in here.offices.values()
            for number, stage in enumerate(STAGES[:2])
        ]
        here.wait_for(lambda: len(letters_of(own_sandbox, calm)) == len(calm), "letters of the calm deals")
        here.settle()

        if len(workers) > 1:
            own_sandbox.faults.set(duplicate=True, reorder=True)
        kills, deals = STORMS[here.app.db.dialect]
        to_move = [(office, number) for number in range(deals) for office in here.offices.values()]
        stormy: list[Moved] = []
        orphans: list[int] = []
        for kill in range(kills):
            share = len(to_move) * (kill + 1) // kills
            for office, number in to_move[len(stormy) : share]:
                stormy.append(move(office, number + 100, STAGES[number % len(STAGES)]))
            wait_for_progress(here, workers, rng)
            victim = workers.pop(rng.randrange(len(workers)))
            orphans += victim.children()
            victim.kill()
            workers.append(here.start("worker"))
        here.wait_for(lambda: len(letters_of(own_sandbox, stormy)) == len(stormy), "all letters")
        here.settle()

        pattern = {(deal.office.crm, deal.stage): traces(deal) for deal in calm}
        for deal in stormy:
            assert traces(deal) == pattern[deal.office.crm, deal.stage], (deal.office.crm, deal.deal_id)
        doubles = check_letters(own_sandbox, [*calm, *stormy])
        check_store(here, deals=len(calm) + len(stormy))
        here.wait_for(lambda: not any(map(is_alive, orphans)), "the end of the killed workers' children", 10)
        for worker in workers:
            assert worker.stop() == 0, worker.stderr
    print(f"letters sent twice, under one Message-ID: {doubles}")  # noqa: T201


def move(office: Office, number: int, stage: str) -> Moved:
    email = f"client-{number}@{office.crm}.example"
    deal_id = office.add_deal(email=email)
    office.move(deal_id, stage)
    return Moved(office, deal_id, stage, email)


def wait_for_progress(here: Installation, workers: list[Program], rng: random.Random) -> None:
    """Some effects more, then a moment that nobody chose: kills fall into the middle of the work."""
    wanted = here.effects_done() + rng.randint(1, 6)
    deadline = time.monotonic() + 8
    while here.effects_done() < wanted and time.monotonic() < deadline:
        for worker in workers:
            assert worker.is_running, worker.stderr
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.4))


def letters_of(sandbox: Sandbox, deals: list[Moved]) -> set[str]:
    """Message-IDs of the letters to the clients of these deals."""
    clients = {deal.email for deal in deals}
    return {
        letter.header("Message-ID")
        for letter in sandbox.mailbox.letters()
        if clients & set(letter.recipients)
    }


def traces(deal: Moved) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """What a person finds in the deal: files, notes and tasks, without the numbers that differ by deal."""

    def told(text: str) -> str:
        without_links = re.sub(r"/(d|pay)/\S+", r"/\1/…", text.replace(deal.email, "…"))
        return re.sub(r"\d+", "#", without_links)

    office = deal.office
    return (
        Counter(told(name) for name in office.file_names(deal.deal_id)),
        Counter(told(f"{note.kind}: {note.text}") for note in office.notes(deal.deal_id)),
        Counter(told(text) for text in office.task_texts(deal.deal_id)),
    )


def check_letters(sandbox: Sandbox, deals: list[Moved]) -> int:
    """One letter a deal by Message-ID, with the same files each time; how many came a second time.

    A worker that dies between the server's «250» and the mark sends again: the Message-ID tells that it is
    the same letter. No order of steps can rule that out.
    """
    received = sandbox.mailbox.letters()
    for deal in deals:
        own = [letter for letter in received if deal.email in letter.recipients]
        assert len({letter.header("Message-ID") for letter in own}) == 1, deal
        (names,) = {tuple(sorted(file.name for file in letter.attachments)) for letter in own}
        assert list(names) == deal.office.file_names(deal.deal_id)
    return len(received) - len(deals)


def check_store(here: Installation, deals: int) -> None:
    """Nothing dead or left over, and the numbers of documents without a hole."""
    assert here.app.queue.dead() == []
    with here.app.db.read() as conn:
        statuses = Counter(conn.execute(select(outbox.c.status)).scalars())
        assert set(statuses) == {"done"}, statuses
        series = conn.execute(select(number_series)).all()
        assert series
        since = here.app.clock.now() - timedelta(days=1)
        for account in {row.account for row in series}:
            assert numbers.gaps(conn, account, since, since + timedelta(days=2)) == []
        given = list(conn.execute(select(documents.c.account, documents.c.kind, documents.c.number)))
        assert len(given) == len(set(given)) == sum(row.last for row in series)
        assert len(set(conn.execute(select(documents.c.account, documents.c.deal_id)))) == deals
