"""`status`, `why`, `dead-letters`, `backfill`, `reconcile`: what they tell, exit codes, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from connector.commands.look import JOBS
from connector.config import CrmName
from connector.sandbox.app import Sandbox
from tests.commands.typed import Said, typed
from tests.e2e.programs import HOOK_SECRET, crm_settings, mail_settings
from tests.e2e.stand import Stand
from tests.e2e.test_trouble import alarms


@pytest.fixture(scope="module", params=["amocrm", "bitrix24"])
def stand(
    request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    file = tmp_path_factory.mktemp("look") / "connector.db"
    with Stand(sandbox, request.param, f"sqlite:///{file}") as stand:
        yield stand


@pytest.fixture
def env(stand: Stand) -> dict[str, str]:
    return {
        **crm_settings(stand.sandbox, stand.crm),
        **mail_settings(stand.sandbox),
        "DATABASE_URL": stand.config.database_url,
        "TEMPLATES_DIR": str(stand.config.templates_dir),
        "LOG_LEVEL": "DEBUG",
    }


def shows_no_secret(said: Said, env: dict[str, str], crm: CrmName) -> bool:
    """Whether the log at DEBUG level and the answer are free of everything that opens a door."""
    secrets = [env["CRM_TOKEN"], env["APPLICATION_TOKEN"], HOOK_SECRET]
    if crm == "bitrix24":
        secrets.append(env["CRM_URL"].rstrip("/").rpartition("/")[2])
    return not any(secret in said.all for secret in filter(None, secrets))


def test_dead_letter_is_told_ends_with_1_and_can_be_repeated(stand: Stand, env: dict[str, str]) -> None:
    assert typed("status", env=env).code == 0
    deal_id = stand.add_deal(email=f"typed-{stand.crm}@example.ru")
    stand.sandbox.mailbox.refuse_next(1, "550 5.1.1 no such mailbox")
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: alarms(stand, deal_id), "the task about the failure")
    stand.settle()

    status = typed("status", env=env)
    assert status.code == 1
    assert f"сделка {deal_id}" in status.out
    assert "550" in status.out
    assert "сигналы: обработано " in status.out
    listed = typed("dead-letters", env=env)
    assert listed.code == 0
    assert listed.out.splitlines()[-1] == "Всего: 1"
    number = listed.out.split()[0]

    why = typed("why", "--deal", str(deal_id), env=env)
    assert why.code == 0
    assert "не удалось" in why.out
    assert "документ «Счёт на оплату»: сделано" in why.out

    repeated = typed("dead-letters", "--repeat", number, env=env)
    assert (repeated.code, repeated.out) == (0, f"{number}: снова в работе\n")
    stand.wait_for(lambda: stand.letters(f"typed-{stand.crm}@example.ru"), "the letter")
    stand.settle()
    assert typed("status", env=env).code == 0
    assert typed("dead-letters", env=env).out == "Всего: 0\n"
    again = typed("dead-letters", "--repeat", number, env=env)
    assert again.code == 1
    assert "нет среди неудавшихся" in again.out
    for said in (status, listed, why, repeated, again):
        assert shows_no_secret(said, env, stand.crm)


def test_deal_that_nobody_knows_is_said_to_be_unknown(stand: Stand, env: dict[str, str]) -> None:
    said = typed("why", "--deal", "999999999", env=env)
    assert "не видел" in said.out
    assert typed("why", env=env).code == 2


def test_past_is_read_and_lost_hooks_are_found(stand: Stand, env: dict[str, str]) -> None:
    read = typed("backfill", env=env)
    assert read.code == 0, read.err
    kept = [deal for deal in stand.portal.deals.values() if not deal.is_deleted]
    assert f"Сделки: прочитано {len(kept)}, " in read.out
    stand.sandbox.faults.drop_share = 1.0
    try:
        deal_id = stand.add_deal(email=f"found-{stand.crm}@example.ru")
    finally:
        stand.sandbox.faults.drop_share = 0.0
    found = typed("reconcile", env=env)
    assert found.code == 0, found.err
    assert "  новые: 1\n" in found.out
    assert f"+ {deal_id} «Поставка оборудования»" in found.out
    stand.settle()
    assert "не видел" in typed("why", "--deal", str(deal_id), env=env).out, "shown, not done"
    taken = typed("reconcile", "--apply", env=env)
    assert "Взято в работу: 1" in taken.out
    stand.settle()
    assert f"Сделка {deal_id}" in typed("why", "--deal", str(deal_id), env=env).out
    for said in (read, found):
        assert shows_no_secret(said, env, stand.crm)


def test_interrupted_backfill_says_how_to_go_on_and_does(
    stand: Stand, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("connector.commands.history.Progress.show", interrupt)
        stopped = typed("backfill", "--anew", env=env)
    assert stopped.code == 130
    assert "Прочитанное сохранено. Продолжить с этого места: connector backfill" in stopped.err
    assert "Сделки: прочитано 200, " in stopped.out
    again = typed("backfill", env=env)
    assert again.code == 0
    assert "Продолжаю чтение, начатое" in again.err
    assert "Продолжаю" not in typed("backfill", env=env).err


def test_account_that_is_not_there_is_named_with_those_there_are(stand: Stand, env: dict[str, str]) -> None:
    for command in (("why", "--deal", "1"), ("backfill",), ("reconcile",), ("report", "owner_daily")):
        said = typed(*command, "--account", "nobody", env=env)
        assert said.code == 2
        assert "main" in said.err


def test_register_is_listed_checked_and_corrected_from_the_command_line(
    stand: Stand, env: dict[str, str], tmp_path: Path
) -> None:
    deal_id = stand.add_deal(email=f"register-{stand.crm}@example.ru")
    stand.move(deal_id, "Счёт выставлен")
    stand.wait_for(lambda: stand.file_names(deal_id), "the invoice")
    stand.settle()
    listed = typed("documents", "list", env=env)
    assert listed.code == 0
    line = next(line for line in listed.out.splitlines() if f"сделка {deal_id} " in line)
    assert "Счёт на оплату № " in line
    assert line.endswith("122000.00 RUB  действует")
    number = line.split()[0]
    verified = typed("documents", "verify", "--remake", env=env)
    assert (verified.code, verified.out.splitlines()[-1].partition("; ")[2]) == (0, "с расхождениями: 0")
    book = tmp_path / "реестр.xlsx"
    assert typed("documents", "list", "--format", "xlsx", env=env).code == 2
    assert typed("documents", "list", "--format", "xlsx", "--output", str(book), env=env).code == 0
    assert book.read_bytes().startswith(b"PK")
    assert typed("documents", "list", "--from", "2026-12-01", "--to", "2026-11-01", env=env).code == 2
    today = f"{date.today():%d.%m.%Y}"
    for wrong in (("--amount", "много"), ("--amount", "0.001"), ("--on", "2126-01-01")):
        assert typed("documents", "paid", number, "--on", today, *wrong, env=env).code == 2
    part = typed("documents", "paid", number, "--on", today, "--amount", "22 000,00", env=env)
    assert (part.code, part.out.split(".")[0]) == (0, "Отмечено: пришло 22000")
    assert typed("documents", "paid", number, "--on", today, env=env).out.startswith(
        "Отмечено: пришло 100000.00"
    )
    assert f"оплачен: {today}" in typed("documents", "list", env=env).out
    twice = typed("documents", "paid", number, "--on", today, env=env)
    assert (twice.code, "уже оплачен" in twice.err) == (1, True)
    voided = typed("documents", "void", number, "--reason", "Ошибка в сумме", env=env)
    assert (voided.code, voided.out) == (0, "Документ аннулирован.\n")
    again = typed("documents", "reissue", number, "--reason", "Ещё раз", env=env)
    assert again.code == 1
    assert "аннулирован" in again.err
    assert shows_no_secret(verified, env, stand.crm)


def test_each_job_that_can_fail_has_a_name_for_people(stand: Stand) -> None:
    told_otherwise = {"effect", "report"}
    assert set(JOBS) == set(stand.app._handlers()) - told_otherwise
