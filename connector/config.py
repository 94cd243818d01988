"""Environment -> frozen `Config`. Every bad variable is reported at once, by name; nothing is guessed.

Several accounts: `ACCOUNT=alpha,beta`. A setting of one of them is looked up as `ALPHA__CRM_URL` first, then
as `CRM_URL`. `config.example.env` explains every variable, and a test compares the two.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values

from connector.errors import ConfigError, Problem

CrmName = Literal["amocrm", "bitrix24"]
CRM_NAMES: tuple[CrmName, ...] = ("amocrm", "bitrix24")


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One customer's CRM. `url` of Bitrix24 is the inbound webhook's address and thereby a secret.

    `hook_secret` is the unguessable part of the address that the CRM calls; `plan` «enterprise» is Bitrix24's
    plan with the higher rate limit.
    """

    name: str
    crm: CrmName
    url: str = field(repr=False)
    token: str = field(repr=False, default="")
    hook_secret: str = field(repr=False, default="")
    application_token: str = field(repr=False, default="")
    plan: Literal["usual", "enterprise"] = "usual"


@dataclass(frozen=True, slots=True)
class MailConfig:
    """Where letters leave the house. `security` «none» is for a server on the same machine."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = field(repr=False, default="")
    security: Literal["none", "starttls", "tls"] = "starttls"


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one process."""

    accounts: tuple[AccountConfig, ...]
    database_url: str = field(repr=False)
    templates_dir: Path
    base_url: str
    mail: MailConfig
    web_host: str
    web_port: int
    worker_threads: int
    render_workers: int
    admin_password: str = field(repr=False)
    log_level: str

    def account(self, name: str) -> AccountConfig:
        """The account called `name`; KeyError when there is none."""
        for account in self.accounts:
            if account.name == name:
                return account
        raise KeyError(name)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        env_file: Path | None = None,
        *,
        connecting: bool = False,
    ) -> Config:
        """Read the environment, then `.env` of the working directory for what is not set there.

        connecting: the CRM is being set up, and what it gives in return for our address is not known yet.
        Raises ConfigError that names every missing or malformed variable.
        """
        if environ is not None:
            return _Reader(environ, connecting=connecting).config()
        file = env_file if env_file is not None else Path(".env")
        written = {key: value or "" for key, value in dotenv_values(file).items()}
        return _Reader({**written, **os.environ}, file.name, written, connecting=connecting).config()


class _Reader:
    """Takes variables one by one and collects what is wrong with them."""

    def __init__(
        self,
        values: Mapping[str, str],
        file: str = "",
        written: Collection[str] = (),
        *,
        connecting: bool,
    ) -> None:
        self._values = values
        self._connecting = connecting
        self._file = file
        self._written = written
        self._asked: set[str] = set()
        self.problems: list[Problem] = []

    def config(self) -> Config:
        names = [name.strip() for name in self._text("ACCOUNT", "main").split(",") if name.strip()]
        for name in names:
            if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
                self._bad("ACCOUNT", f"имя аккаунта {name!r}: нужны строчные латинские буквы, цифры и дефис")
        config = Config(
            accounts=tuple(self._account(name) for name in names),
            database_url=self._text("DATABASE_URL", "sqlite:///var/connector.db"),
            templates_dir=self._folder("TEMPLATES_DIR", "templates"),
            base_url=self._url("BASE_URL", "http://127.0.0.1:8080"),
            mail=self._mail(),
            web_host=self._text("WEB_HOST", "127.0.0.1"),
            web_port=self._number("WEB_PORT", 8080, 1, 65535),
            worker_threads=self._number("WORKER_THREADS", 4, 1, 64),
            render_workers=self._number("RENDER_WORKERS", 1, 1, 16),
            admin_password=self._text("ADMIN_PASSWORD", ""),
            log_level=self._choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
        )
        if not names:
            self._bad("ACCOUNT", "не назван ни один аккаунт")
        self._name_unknown()
        if self.problems:
            raise ConfigError(self.problems)
        return config

    def _account(self, name: str) -> AccountConfig:
        prefix = name.upper().replace("-", "_") + "__"
        crm = self._choice("CRM", "", CRM_NAMES, prefix)
        url = self._url("CRM_URL", "", prefix)
        token = self._text("CRM_TOKEN", "", prefix)
        if crm == "amocrm" and not token:
            self._bad(
                self._name("CRM_TOKEN", prefix), "не задана: нужен долгосрочный токен интеграции amoCRM"
            )
        if crm == "bitrix24" and url and not re.search(r"/rest/\d+/[^/]+/?$", url):
            self._bad(
                self._name("CRM_URL", prefix),
                "адрес входящего вебхука Битрикс24 имеет вид https://портал/rest/1/код/",
            )
        secret = self._text("HOOK_SECRET", "", prefix)
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,128}", secret):
            self._bad(
                self._name("HOOK_SECRET", prefix),
                "нужны 16–128 латинских букв, цифр, «-» и «_»; получить: "
                'python -c "import secrets; print(secrets.token_urlsafe(24))"',
            )
        application_token = self._text("APPLICATION_TOKEN", "", prefix)
        if crm == "bitrix24" and not application_token and not self._connecting:
            self._bad(
                self._name("APPLICATION_TOKEN", prefix),
                "не задана: скопируйте «Токен приложения» из карточки исходящего вебхука Битрикс24",
            )
        plan = self._choice("CRM_PLAN", "usual", ("usual", "enterprise"), prefix)
        return AccountConfig(
            name,
            crm,  # type: ignore[arg-type]
            url.rstrip("/"),
            token,
            secret,
            application_token,
            plan=plan,  # type: ignore[arg-type]
        )

    def _mail(self) -> MailConfig:
        return MailConfig(
            host=self._text("SMTP_HOST", "127.0.0.1"),
            port=self._number("SMTP_PORT", 587, 1, 65535),
            sender=self._text("MAIL_FROM", "connector@localhost"),
            user=self._text("SMTP_USER", ""),
            password=self._text("SMTP_PASSWORD", ""),
            security=self._choice("SMTP_SECURITY", "starttls", ("none", "starttls", "tls")),  # type: ignore[arg-type]
        )

    def _name_unknown(self) -> None:
        """The file is ours alone: a word in it that nobody asks for is a slip of the pen."""
        for key in sorted(set(self._written) - self._asked):
            near = difflib.get_close_matches(key, self._asked, 1, 0.6)
            hint = f"; может быть, {near[0]}?" if near else ""
            self._bad(key, f"{self._file}: такой настройки нет{hint}")

    def _name(self, key: str, prefix: str) -> str:
        self._asked.update((key, prefix + key))
        return prefix + key if prefix + key in self._values else key

    def _text(self, key: str, default: str, prefix: str = "") -> str:
        return self._values.get(self._name(key, prefix), default).strip() or default

    def _number(self, key: str, default: int, low: int, high: int) -> int:
        text = self._text(key, str(default))
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            self._bad(key, f"нужно целое число от {low} до {high}, а стоит {text!r}")
            return default
        return int(text)

    def _choice(self, key: str, default: str, allowed: tuple[str, ...], prefix: str = "") -> str:
        text = self._text(key, default, prefix)
        if text not in allowed:
            shown = f"а стоит {text!r}" if text else "а переменная не задана"
            self._bad(self._name(key, prefix), f"нужно одно из: {', '.join(allowed)}; {shown}")
        return text

    def _url(self, key: str, default: str, prefix: str = "") -> str:
        text = self._text(key, default, prefix)
        if not re.match(r"https?://[^/\s]+", text):
            # The value itself may be a secret address and is not repeated.
            self._bad(self._name(key, prefix), "нужен адрес, который начинается с https:// (или http://)")
        return text

    def _folder(self, key: str, default: str) -> Path:
        path = Path(self._text(key, default))
        if not path.is_dir():
            self._bad(key, f"нет такой папки: {path}")
        return path

    def _bad(self, place: str, message: str) -> None:
        self.problems.append(Problem(place, message))
