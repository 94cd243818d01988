"""The mail server or the CRM is in trouble: nothing is lost, nothing comes twice, and people are told."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select, update

from connector.store.schema import jobs
from tests.e2e.stand import Stand


def let_time_pass(stand: Stand) -> None:
    """Make whatever waits for its next attempt due now."""
    with stand.app.db.begin() as conn:
        waiting = update(jobs).where(jobs.c.state == "ready")
        conn.execute(waiting.values(run_at=datetime.now(UTC)))


def waiting_jobs(stand: Stand) -> int:
    """Jobs of deals that wait for a later moment; reading activities waits by design."""
    with stand.app.db.read() as conn:
        later = select(func.count()).where(
            jobs.c.state == "ready", jobs.c.run_at > datetime.now(UTC), jobs.c.task.in_(("event", "effect"))
        )
        return int(conn.execute(later.select_from(jobs)).scalar_one())


def test_letter_that_the_server_postpones_is_sent_again_later(stand: Stand) -> None:
    email = f"later-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email)
    stand.sandbox.mailbox.refuse_next(1, "451 4.3.0 try again later")
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: waiting_jobs(stand), "the postponed letter")
    (account,) = stand.app.status().accounts
    assert any("451" in error for error in account.last_errors)
    assert account.jobs.dead == 0
    assert stand.letters(email) == []
    let_time_pass(stand)
    stand.wait_for(lambda: stand.letters(email), "the letter")
    stand.settle()
    assert len(stand.letters(email)) == 1
    assert not any("Не удалось" in text for text in stand.task_texts(deal_id))


def test_refused_letter_is_a_dead_letter_a_task_and_goes_when_repeated(stand: Stand) -> None:
    email = f"refused-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email)
    stand.sandbox.mailbox.refuse_next(1, "550 5.1.1 no such mailbox")
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: alarms(stand, deal_id), "the task about the failure")
    stand.settle()
    status = stand.app.status()
    assert not status.is_well
    (dead,) = status.accounts[0].dead
    assert "550" in (dead.error or "")
    (alarm,) = alarms(stand, deal_id)
    assert "550" in alarm
    assert f"{stand.base_url}/deals/main/{deal_id}" in alarm
    # The rest of the rule does not wait for the letter.
    assert [name for name in stand.file_names(deal_id) if name.startswith("Счёт")]
    assert any("Проверить оплату" in text for text in stand.task_texts(deal_id))

    assert stand.app.effects.repeat(dead.id)
    stand.wait_for(lambda: stand.letters(email), "the letter, once the mailbox is there")
    stand.settle()
    assert stand.app.status().is_well
    assert len(stand.letters(email)) == 1
    assert len(alarms(stand, deal_id)) == 1


def test_crm_that_is_down_for_long_costs_nothing_but_time(stand: Stand) -> None:
    emails = [f"down-{number}-{stand.crm}@example.ru" for number in range(3)]
    deals = {email: stand.add_deal(email=email) for email in emails}
    stand.settle()
    dead_before = stand.app.queue.dead("main")
    faults = stand.sandbox.faults
    faults.fail_next(10_000, 503, "<html>maintenance</html>")
    try:
        for deal_id in deals.values():
            stand.move(deal_id, "Счёт выставлен")
        stand.wait_for(lambda: waiting_jobs(stand) >= len(deals), "all the work waits")
        (account,) = stand.app.status().accounts
        assert account.jobs.ready >= len(deals)
        assert account.events.get("new", 0) >= len(deals)
    finally:
        faults.reset()
        faults.limits_on = False
    let_time_pass(stand)
    stand.wait_for(lambda: all(stand.letters(email) for email in deals), "all letters")
    stand.settle()
    assert all(len(stand.letters(email)) == 1 for email in deals)
    assert all(len(stand.files(deal_id)) == 1 for deal_id in deals.values())
    assert stand.app.queue.dead("main") == dead_before


def alarms(stand: Stand, deal_id: int) -> list[str]:
    return [text for text in stand.task_texts(deal_id) if "Не удалось" in text]
