"""Templates edited while the service runs: what is faultless is used, what is not changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from connector.clock import FixedClock
from connector.documents import trial
from connector.edited import Edited, trial_of_change
from connector.errors import ConfigError, Problem
from connector.kit_alarm import KitAlarm
from connector.kit_keeper import KitKeeper
from connector.store import outbox
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.store.schema import jobs
from tests.documents.samples import TEMPLATES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(TEMPLATES, tmp_path / "kit")
    return tmp_path / "kit"


class Listener:
    """What a keeper told."""

    def __init__(self, keeper: KitKeeper) -> None:
        self.versions: list[Edited] = []
        self.looks: list[list[str]] = []
        keeper.on_change.append(self.versions.append)
        keeper.on_look.append(lambda problems: self.looks.append([str(problem) for problem in problems]))


def edit(folder: Path, name: str, old: str, new: str) -> None:
    file = folder / name
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_a_change_is_at_work_once_it_stood_still_for_a_look(folder: Path) -> None:
    keeper = KitKeeper(folder)
    said, first = Listener(keeper), keeper.current
    assert keeper.look() is False
    edit(folder, "documents/act.html", "Поставщик:", "Подрядчик:")
    assert keeper.look() is False
    edit(folder, "playbook/20-invoice.yml", "rules:", "# два правила\nrules:")
    assert keeper.look() is False  # another file was saved meanwhile
    assert keeper.look() is True
    assert "Подрядчик:" in keeper.current.kit.text("documents/act.html")
    assert (said.versions, said.looks) == ([keeper.current], [[]])
    assert keeper.current.digest != first.digest
    assert keeper.look() is False


def test_a_bad_change_keeps_the_last_good_version_and_is_told_once(folder: Path) -> None:
    keeper = KitKeeper(folder)
    said, first = Listener(keeper), keeper.current
    edit(folder, "documents/act.html", "{{ документ.номер }}", "{{ документ.номр }}")
    edit(folder, "playbook/20-invoice.yml", "document: invoice", "dokument: invoice")
    edit(folder, "reports/owner_daily.html", "{% endif %}", "")
    for _ in range(4):
        assert keeper.look() is False
    assert keeper.current is first
    (told,) = said.looks
    for name in ("act.html:", "20-invoice.yml:", "owner_daily.html:"):
        assert any(name in problem for problem in told), told

    edit(folder, "documents/act.html", "{{ документ.номр }}", "{{ документ.номер }}")
    edit(folder, "playbook/20-invoice.yml", "dokument: invoice", "document: invoice")
    shutil.copy(TEMPLATES / "reports/owner_daily.html", folder / "reports/owner_daily.html")
    assert [keeper.look() for _ in range(3)] == [False, False, False]
    # It reads as before, so there is no new version; but all is well again, and that is told.
    assert (said.versions, said.looks[1:]) == ([], [[]])
    assert keeper.current is first


def test_what_reading_does_not_find_the_trial_does(folder: Path) -> None:
    tried: list[tuple[Edited, Edited]] = []

    def trial(before: Edited, found: Edited) -> Sequence[Problem]:
        tried.append((before, found))
        return [Problem("documents/act.html:1", "не верстается")]

    keeper = KitKeeper(folder, trial)
    said, first = Listener(keeper), keeper.current
    edit(folder, "documents/act.html", "Поставщик:", "Подрядчик:")
    assert [keeper.look() for _ in range(3)] == [False, False, False]
    assert keeper.current is first
    assert said.looks == [["documents/act.html:1  не верстается"]]
    assert len(tried) == 1


def test_a_listener_that_failed_is_told_again(folder: Path) -> None:
    keeper = KitKeeper(folder)
    calls: list[int] = []

    def told(problems: Sequence[Problem]) -> None:
        calls.append(len(problems))
        if len(calls) == 1:
            raise ConnectionError("the store is away")

    keeper.on_look.append(told)
    assert keeper.look() is False
    edit(folder, "documents/act.html", "{{ документ.номер }}", "{{ документ.номр }}")
    keeper.look()
    with pytest.raises(ConnectionError):
        keeper.look()
    keeper.look()
    keeper.look()
    assert calls == [1, 1]


def test_files_that_editors_keep_beside_a_template_change_nothing(folder: Path) -> None:
    keeper = KitKeeper(folder)
    said = Listener(keeper)
    assert keeper.look() is False
    (folder / "documents" / ".act.html.swp").write_bytes(b"\0")
    (folder / "documents" / "~$contract.docx").write_bytes(b"\0")
    assert [keeper.look() for _ in range(3)] == [False, False, False]
    assert said.looks == []


def test_a_folder_that_is_wrong_from_the_beginning_is_an_error(folder: Path) -> None:
    (folder / "documents/documents.yml").unlink()
    with pytest.raises(ConfigError, match=r"documents\.yml"):
        KitKeeper(folder).current  # noqa: B018


def test_all_processes_raise_one_alarm_and_close_it(db: Database, clock: FixedClock) -> None:
    queue = JobQueue(db, clock)
    first, second = (KitAlarm(db, queue, ["main"], clock) for _ in range(2))
    wrong = [Problem("templates/documents/act.html:7", "неизвестное имя «документ.номр»")]
    for alarm in (first, second):
        alarm.told(wrong)
    also = [*wrong, Problem("templates/messages/welcome.md:2", "нет темы")]
    second.told(also)
    fault = first.fault()
    assert fault is not None
    assert list(fault.problems) == also
    (task,) = effects(db)
    assert task.action == "kit_alarm"
    assert "templates/documents/act.html:7: неизвестное имя" in task.params["text"]

    with db.begin() as conn:
        outbox.finish(conn, outbox.start_attempt(conn, task, clock.now()), {"task_id": "5"}, clock.now())
    for alarm in (first, second):
        alarm.told([])
    assert first.fault() is None
    assert [effect.action for effect in effects(db)] == ["kit_alarm", "close_ask"]
    with db.read() as conn:
        assert len(set(conn.execute(select(jobs.c.order_key)).scalars())) == 1


def test_an_alarm_that_nobody_got_yet_is_taken_back(db: Database, clock: FixedClock) -> None:
    alarm = KitAlarm(db, JobQueue(db, clock), ["main"], clock)
    alarm.told([Problem("a", "b")])
    alarm.told([])
    assert [effect.status for effect in effects(db)] == ["cancelled"]
    clock.sleep(timedelta(minutes=1))
    alarm.told([Problem("a", "b")])
    assert [effect.status for effect in effects(db)] == ["cancelled", "ready"]


def effects(db: Database) -> list[outbox.Effect]:
    with db.read() as conn:
        return list(reversed(outbox.latest(conn, "main", 10)))


def test_a_machine_that_cannot_typeset_uses_the_change_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_pango(*_: object, **__: object) -> list[Problem]:
        raise ConfigError([Problem("WeasyPrint", "не найдена системная библиотека Pango")])

    monkeypatch.setattr(trial, "run", no_pango)
    keeper = KitKeeper(folder, trial_of_change)
    said = Listener(keeper)
    assert keeper.current
    edit(folder, "documents/act.html", "Поставщик:", "Подрядчик:")
    assert [keeper.look(), keeper.look()] == [False, True]
    assert said.looks == [[]]
    assert "Pango" in caplog.text
