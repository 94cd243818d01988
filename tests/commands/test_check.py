"""`check` and `connect`: every mistake with its place, every refusal with what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.commands.check import against_address
from connector.config import CrmName
from connector.sandbox.app import Sandbox
from tests.commands.typed import typed


def test_good_settings_and_rules_pass(env: dict[str, str]) -> None:
    said = typed("check", env=env)
    assert said.code == 0, said.err
    assert "Файлы в порядке" in said.out
    assert "Правила сходятся с CRM" in said.out


@pytest.mark.parametrize(
    ("crm_url", "base_url", "is_told"),
    [
        ("https://romashka.amocrm.ru", "http://127.0.0.1:8080", True),
        ("https://romashka.bitrix24.ru/rest/1/code", "http://localhost:8080", True),
        ("https://romashka.amocrm.ru", "http://0.0.0.0:8080", True),
        ("https://romashka.amocrm.ru", "https://connector.romashka.ru", False),
        ("http://127.0.0.1:9000", "http://127.0.0.1:8080", False),
    ],
)
def test_address_that_a_crm_out_there_cannot_call_is_told(crm_url: str, base_url: str, is_told: bool) -> None:
    problems = against_address(base_url, ["http://127.0.0.1:9", crm_url])
    assert [problem.place for problem in problems] == (["BASE_URL"] if is_told else [])


def test_offline_check_asks_no_crm(env: dict[str, str]) -> None:
    env["CRM_URL"] = "http://127.0.0.1:9/rest/1/nobody/"
    said = typed("check", "--offline", env=env)
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("file", "wrong", "right", "place"),
    [
        ("20-invoice.yml", "send: invoise_sent", "invoice_sent", "20-invoice.yml:9:15"),
        ("20-invoice.yml", "dokument: invoice", "document", "20-invoice.yml:8:9"),
    ],
)
def test_mistake_in_a_rule_is_told_with_line_column_and_the_right_word(
    env: dict[str, str], kit: Path, file: str, wrong: str, right: str, place: str
) -> None:
    path = kit / "playbook" / file
    text = path.read_text("utf-8")
    key, _, value = wrong.partition(": ")
    good = f"{key}: {right}" if key == "send" else f"{right}: {value}"
    assert good in text
    path.write_text(text.replace(good, wrong, 1), "utf-8")
    said = typed("check", env=env)
    assert said.code == 1
    assert place in said.err
    assert f"«{right}»" in said.err
    assert "ничего не запущено" in said.err


def test_stage_that_the_crm_does_not_have_is_told_with_the_nearest_one(
    env: dict[str, str], kit: Path
) -> None:
    path = kit / "playbook" / "20-invoice.yml"
    path.write_text(path.read_text("utf-8").replace("Счёт выставлен}", "Счёт выслан}"), "utf-8")
    said = typed("check", env=env)
    assert said.code == 1
    assert "20-invoice.yml:6:" in said.err
    assert "Счёт выставлен" in said.err


def test_every_bad_variable_is_named_at_once(env: dict[str, str]) -> None:
    bad = {"WEB_PORT": "abc", "LOG_LEVEL": "LOUD", "HOOK_SECRET": "x", "TEMPLATES_DIR": "/nowhere/at/all"}
    said = typed("check", env={**env, **bad})
    assert said.code == 1
    assert all(name in said.err for name in bad)


def test_missing_settings_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = typed("check", env={})
    assert said.code == 1
    assert all(name in said.err for name in ("CRM", "CRM_URL", "HOOK_SECRET", "TEMPLATES_DIR"))


@pytest.mark.parametrize(
    "url", ["postgresql://user:password-of-the-store@127.0.0.1:1/none", "sqlite:///{file}/connector.db"]
)
def test_store_that_cannot_be_opened_is_a_sentence(env: dict[str, str], url: str, tmp_path: Path) -> None:
    file = tmp_path / "a-file"
    file.touch()
    said = typed("status", env={**env, "DATABASE_URL": url.format(file=file)})
    assert said.code == 1
    assert "Не получилось" in said.err
    assert "password-of-the-store" not in said.all


def test_connecting_makes_the_hook_or_tells_how_to_make_it(
    env: dict[str, str], crm: CrmName, sandbox: Sandbox
) -> None:
    first = typed("connect", crm, env=env)
    assert first.code == 0, first.err
    assert "Доступ есть" in first.out
    hook = f"http://127.0.0.1:9/hooks/{crm}/main/{env['HOOK_SECRET']}"
    if crm == "amocrm":
        assert "Вебхук создан" in first.out
        assert "уже был" in typed("connect", crm, env=env).out
        assert hook not in first.all
    else:
        assert hook in first.out
        assert "ONCRMDEALUPDATE" in first.out
        assert "APPLICATION_TOKEN" in first.out


def test_bitrix24_is_connected_before_its_application_token_is_known(
    env: dict[str, str], crm: CrmName
) -> None:
    """The portal shows the token only after the address, which `connect` prints, was entered."""
    env["APPLICATION_TOKEN"] = ""
    said = typed("connect", crm, env=env)
    assert said.code == 0, said.err
    assert typed("check", "--offline", env=env).code == (1 if crm == "bitrix24" else 0)


def test_wrong_key_is_said_clearly_and_not_shown(env: dict[str, str], crm: CrmName) -> None:
    if crm == "amocrm":
        env["CRM_TOKEN"] = "not-the-right-token"
    else:
        env["CRM_URL"] = env["CRM_URL"].rstrip("/").rpartition("/")[0] + "/not-the-right-token/"
    for command in (("connect", crm), ("check",), ("backfill",), ("reconcile",)):
        said = typed(*command, env=env)
        assert said.code == 1, command
        assert "CRM не приняла ключ" in said.err
        assert "not-the-right-token" not in said.all


def test_crm_that_is_not_there_is_a_sentence(env: dict[str, str], crm: CrmName) -> None:
    env["CRM_URL"] = "http://127.0.0.1:9/rest/1/secret-code/"
    said = typed("connect", crm, env=env)
    assert said.code == 1
    assert "CRM не отвечает" in said.err
    assert "secret-code" not in said.all


def test_connecting_the_other_crm_is_refused(env: dict[str, str], crm: CrmName) -> None:
    other = "bitrix24" if crm == "amocrm" else "amocrm"
    said = typed("connect", other, env=env)
    assert said.code == 2
    assert f"CRM={crm}" in said.err


def test_mail_server_that_does_not_let_in_is_told_before_the_first_letter(env: dict[str, str]) -> None:
    said = typed("check", env={**env, "SMTP_HOST": "127.0.0.1", "SMTP_PORT": "1"})
    assert said.code == 1
    assert "SMTP_HOST" in said.err
    assert "Почтовый сервер пускает" in typed("check", env=env).out
