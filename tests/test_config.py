"""Settings: every mistake at once, by name, without showing a secret; the example file is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector.config import Config
from connector.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
GOOD = {
    "CRM": "amocrm",
    "CRM_URL": "https://example.amocrm.example",
    "CRM_TOKEN": "long-lived",
    "HOOK_SECRET": "0123456789abcdef",
    "TEMPLATES_DIR": str(ROOT / "templates"),
}


def mistakes(**changes: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({**GOOD, **changes})
    return {problem.place: problem.message for problem in caught.value.problems}


def test_small_set_of_settings_is_enough() -> None:
    config = Config.from_env(GOOD)
    assert [account.name for account in config.accounts] == ["main"]
    assert config.account("main").crm == "amocrm"


def test_all_mistakes_are_named_at_once() -> None:
    found = mistakes(CRM="amo", HOOK_SECRET="short", WEB_PORT="abc", SMTP_SECURITY="ssl", CRM_URL="portal")
    assert sorted(found) == ["CRM", "CRM_URL", "HOOK_SECRET", "SMTP_SECURITY", "WEB_PORT"]


@pytest.mark.parametrize("port", ["0", "65536", "-1", "8080.0", "0x50", "٣", ""])
def test_port_is_a_plain_whole_number(port: str) -> None:
    if port == "":
        assert Config.from_env({**GOOD, "WEB_PORT": port}).web_port == 8080
    else:
        assert "WEB_PORT" in mistakes(WEB_PORT=port)


def test_bitrix24_wants_the_whole_webhook_and_the_application_token() -> None:
    found = mistakes(CRM="bitrix24", CRM_URL="https://portal.example/")
    assert set(found) == {"CRM_URL", "APPLICATION_TOKEN"}


def test_settings_of_several_accounts_stand_under_their_names() -> None:
    config = Config.from_env(
        {
            **GOOD,
            "ACCOUNT": "alpha, beta",
            "BETA__CRM": "bitrix24",
            "BETA__CRM_URL": "https://portal.example/rest/1/code/",
            "BETA__APPLICATION_TOKEN": "secret",
        }
    )
    assert [(account.name, account.crm) for account in config.accounts] == [
        ("alpha", "amocrm"),
        ("beta", "bitrix24"),
    ]


def test_payment_settings_are_asked_for_by_the_provider_that_needs_them() -> None:
    assert set(mistakes(PAYMENT_PROVIDER="yookassa")) == {"YOOKASSA_SHOP_ID", "YOOKASSA_SECRET_KEY"}
    assert set(mistakes(PAYMENT_PROVIDER="static")) == {"PAYMENT_LINK"}
    assert "PAYMENT_PROVIDER" in mistakes(PAYMENT_PROVIDER="paypal")
    unknown = mistakes(PAYMENT_PROVIDER="static", PAYMENT_LINK="https://pay.example/?s={сума}")
    assert "{сума}" in unknown["PAYMENT_LINK"]
    link = "https://pay.example/?s={сумма}&n={номер}"
    config = Config.from_env({**GOOD, "PAYMENT_PROVIDER": "static", "PAYMENT_LINK": link})
    assert config.account("main").payment.link == link


def test_addresses_of_payments_and_hooks_have_secrets_of_their_own() -> None:
    account = Config.from_env(GOOD).account("main")
    secrets = {account.hook_secret, account.payment_secret, account.install_secret, account.pay_token(1)}
    assert len(secrets | {account.pay_token(2)}) == 5


def test_secrets_are_not_shown() -> None:
    config = Config.from_env({**GOOD, "SMTP_PASSWORD": "mail-secret", "ADMIN_PASSWORD": "admin-secret"})
    for secret in ("long-lived", "0123456789abcdef", "mail-secret", "admin-secret", "example.amocrm"):
        assert secret not in repr(config)
    assert "https://u:p@" not in str(mistakes(CRM_URL="ftp://u:p@portal"))


def test_example_file_explains_every_setting_and_no_other() -> None:
    text = (ROOT / "config.example.env").read_text(encoding="utf-8")
    explained = set(re.findall(r"^([A-Z_0-9]+)=", text, re.MULTILINE))
    source = (ROOT / "connector" / "config.py").read_text(encoding="utf-8")
    read = set(re.findall(r'self\._(?:text|number|choice|url|folder)\("([A-Z_0-9]+)"', source))
    assert explained == read


def test_slip_in_the_env_file_is_named_with_the_nearest_right_word(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "".join(f"{key}={value}\n" for key, value in GOOD.items()) + "SMTP_HOTS=mail\nMAIN__WEB=1\n"
    )
    with pytest.raises(ConfigError) as caught:
        Config.from_env(env_file=file)
    found = {problem.place: problem.message for problem in caught.value.problems}
    assert found["SMTP_HOTS"] == ".env: такой настройки нет; может быть, SMTP_HOST?"
    assert "MAIN__WEB" in found


def test_env_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.env"
    file.write_text("".join(f"{key}={value}\n" for key, value in GOOD.items()) + "WEB_PORT=9000\n")
    assert Config.from_env(env_file=file).web_port == 9000
    monkeypatch.setenv("WEB_PORT", "9001")
    assert Config.from_env(env_file=file).web_port == 9001


@pytest.mark.parametrize("sender", ["nobody", "Отдел <продажи>", "ООО, Ветер <a@example.ru>", "a@"])
def test_sender_that_no_letter_could_leave_from_is_a_mistake(sender: str) -> None:
    assert "MAIL_FROM" in mistakes(MAIL_FROM=sender)


@pytest.mark.parametrize("sender", ["a@example.ru", "Отдел <a@ветер.рф>", '"ООО, Ветер" <a@example.ru>'])
def test_sender_with_and_without_a_name_is_taken(sender: str) -> None:
    assert Config.from_env({**GOOD, "MAIL_FROM": sender}).mail.sender == sender
