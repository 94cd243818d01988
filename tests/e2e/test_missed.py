"""What hooks do not tell is found by comparing, all of it and once, and counted; own moves start nothing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.config import CrmName
from connector.sandbox.app import Sandbox
from connector.store import facts
from tests.e2e.stand import NO_GRACE, TEMPLATES, Stand

PLAYBOOK = """
people:
  head_of_sales: {user: admin}
rules:
  - name: Вход
    when: {pipeline: Продажи, enters: [Встреча проведена, Счёт выставлен]}
    repeat: every_entry
    do: [{note: вошла}]
  - name: Возврат
    when: {enters: Договор отправлен}
    do: [{update: {stage: Встреча проведена}}]
  - name: Туда
    when: {pipeline: Продажи, enters: Квалификация}
    if: deal.amount > 0
    repeat: every_entry
    do: [{update: {stage: Новая заявка, starts_rules: true}}]
  - name: Обратно
    when: {pipeline: Продажи, leaves: Квалификация}
    if: deal.amount > 0
    repeat: every_entry
    do: [{update: {stage: Квалификация, starts_rules: true}}]
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our templates with rules that only write notes and move: nothing is drawn or mailed."""
    folder = tmp_path_factory.mktemp("kit") / "templates"
    shutil.copytree(TEMPLATES, folder)
    shutil.rmtree(folder / "playbook")
    (folder / "playbook").mkdir()
    (folder / "playbook" / "rules.yml").write_text(PLAYBOOK, "utf-8")
    return folder


@pytest.fixture(scope="module")
def stand(
    crm: CrmName, sandbox: Sandbox, kit: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    file = tmp_path_factory.mktemp("missed") / "connector.db"
    with Stand(sandbox, crm, f"sqlite:///{file}", templates=kit) as stand:
        yield stand


@contextmanager
def hooks_lost(stand: Stand, share: float = 1.0) -> Iterator[None]:
    stand.sandbox.faults.drop_share = share
    try:
        yield
        stand.settle()
    finally:
        stand.sandbox.faults.drop_share = 0.0


def entries(stand: Stand, deal_id: int) -> int:
    return len([note for note in stand.notes(deal_id) if note.text == "вошла"])


def compare(stand: Stand) -> int:
    """Compare until nothing differs any more; how many differences were taken in at first."""
    found = stand.app.reconcile.run("main", grace=NO_GRACE).differing
    stand.settle()
    for _ in range(5):
        if not stand.app.reconcile.run("main", grace=NO_GRACE).differing:
            return found
        stand.settle()
    raise AssertionError("it differs for ever")


def missed(stand: Stand) -> int:
    return stand.app.status().accounts[0].missed.week


def test_tenth_of_all_hooks_dropped_is_repaired_to_the_last_and_nothing_twice(stand: Stand) -> None:
    rng = random.Random(11)
    compare(stand)
    with hooks_lost(stand, 0.1):
        deals = [stand.add_deal() for _ in range(40)]
        for stage in ("Встреча проведена", "Счёт выставлен"):
            for deal_id in rng.sample(deals, len(deals)):
                stand.move(deal_id, stage)
        stand.settle()
    compare(stand)
    assert [entries(stand, deal_id) for deal_id in deals] == [2] * len(deals)
    assert not stand.app.queue.dead()


def test_what_no_hook_told_is_counted_once_each_and_what_hooks_told_is_not(stand: Stand) -> None:
    told = stand.add_deal()
    stand.settle()
    compare(stand)
    before = missed(stand)
    stand.move(told, "Счёт выставлен")
    stand.settle()
    assert compare(stand) == 0
    assert missed(stand) == before, "hooks told all of it"
    with hooks_lost(stand):
        new, moved, changed = stand.add_deal(), told, stand.add_deal()
        stand.move(moved, "Встреча проведена")
    compare(stand)
    assert missed(stand) == before + 3
    with hooks_lost(stand):
        stand.portal.update_deal(changed, {"responsible_id": admin_of(stand)}, by=stand.manager_id)
    compare(stand)
    assert missed(stand) == before + 4
    assert "Вебхук не пришёл, нашла сверка:" in stand.story(new)
    line = f"Пропущено вебхуками, найдено сверкой: {before + 4}"
    assert line in stand.app.status().accounts[0].missed.text


def test_move_there_and_back_that_leaves_no_trace_in_the_deal_is_found(stand: Stand) -> None:
    deal_id = stand.add_deal(stage="Встреча проведена")
    stand.wait_for(lambda: entries(stand, deal_id) == 1, "the first entry")
    stand.settle()
    with hooks_lost(stand):
        for stage in ("Встреча назначена", "Счёт выставлен", "Встреча проведена"):
            stand.move(deal_id, stage)
    compare(stand)
    assert entries(stand, deal_id) == 2, "back within the minute is the same entry"
    assert "Счёт выставлен → Продажи / Встреча проведена" in stand.story(deal_id)


def test_move_to_another_pipeline_without_a_hook_is_found(stand: Stand) -> None:
    deal_id = stand.add_deal()
    stand.settle()
    other = next(p for p in stand.portal.pipelines.values() if p.name != "Продажи")
    with hooks_lost(stand):
        changes = {"pipeline_id": other.id, "stage": other.stages[0].code}
        stand.portal.update_deal(deal_id, changes, by=stand.manager_id)
    compare(stand)
    assert f"{other.name} / {other.stages[0].name}" in stand.story(deal_id)
    with hooks_lost(stand):
        stand.move(deal_id, "Счёт выставлен")
    compare(stand)
    assert entries(stand, deal_id) == 1


def test_deletion_and_restoration_without_a_hook_are_found(stand: Stand) -> None:
    deal_id = stand.add_deal()
    stand.settle()
    with hooks_lost(stand):
        stand.portal.delete_deal(deal_id, by=stand.manager_id)
    sweep(stand)
    assert is_deleted(stand, deal_id)
    with hooks_lost(stand):
        stand.portal.restore_deal(deal_id, by=stand.manager_id)
    sweep(stand)
    assert not is_deleted(stand, deal_id)


def test_own_move_starts_no_rule_and_is_told_as_ours(stand: Stand) -> None:
    deal_id = stand.add_deal()
    stand.move(deal_id, "Договор отправлен")
    stand.wait_for(lambda: stage_of(stand, deal_id) == "Встреча проведена", "our own move")
    stand.settle()
    compare(stand)
    assert entries(stand, deal_id) == 0
    assert "сделал Коннектор по правилу «Возврат»" in stand.story(deal_id)
    # The same move by a person is a person's.
    stand.move(deal_id, "Встреча назначена")
    stand.move(deal_id, "Встреча проведена")
    stand.wait_for(lambda: entries(stand, deal_id) == 1, "the person's entry")


def test_own_move_is_known_when_its_hook_comes_before_the_answer(stand: Stand) -> None:
    """The sandbox answers half a second late and sends the hook meanwhile; a person moves it on at once."""
    deal_id = stand.add_deal()
    stand.settle()
    stand.sandbox.faults.latency_s = 0.4
    try:
        stand.move(deal_id, "Договор отправлен")
        stand.wait_for(lambda: stage_of(stand, deal_id) == "Встреча проведена", "our own move")
        stand.move(deal_id, "Счёт выставлен")
        stand.settle()
    finally:
        stand.sandbox.faults.latency_s = 0.0
    stand.settle()
    assert entries(stand, deal_id) == 1, "the person's move alone"


def test_rules_that_chase_each_other_are_stopped_with_one_task(stand: Stand) -> None:
    deal_id = stand.add_deal()
    stand.move(deal_id, "Квалификация")
    stand.wait_for(
        lambda: any("по кругу" in text for text in stand.task_texts(deal_id)), "the task about the circle"
    )
    stand.settle()
    about = [text for text in stand.task_texts(deal_id) if "по кругу" in text]
    assert len(about) == 1
    assert "«Туда»" in about[0]
    assert "«Обратно»" in about[0]
    story = stand.story(deal_id)
    assert "остановлено, сделку гоняют по кругу" in story
    assert story.count("сделал Коннектор") <= 4


def sweep(stand: Stand) -> None:
    """Compare until every deal was asked after: a rotation goes on with each run."""
    for _ in range(6):
        stand.app.reconcile.run("main", grace=NO_GRACE)
        stand.settle()


def is_deleted(stand: Stand, deal_id: int) -> bool:
    with stand.app.db.read() as conn:
        row = facts.deal_row(conn, "main", str(deal_id))
    assert row is not None
    return row.is_deleted


def stage_of(stand: Stand, deal_id: int) -> str:
    deal = stand.portal.deals[deal_id]
    return stand.portal.stage(deal.pipeline_id, deal.stage).name


def admin_of(stand: Stand) -> int:
    return next(user.id for user in stand.portal.users.values() if user.is_admin)
