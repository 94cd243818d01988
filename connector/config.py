"""Environment -> frozen `Config`. Every bad variable is reported at once, by name; nothing is guessed.

Several accounts: `ACCOUNT=alpha,beta`. A setting of one of them is looked up as `ALPHA__CRM_URL` first, then
as `CRM_URL`. `config.example.env` explains every variable, and a test compares the two.
"""

from __future__ import annotations

import base64
import difflib
import hmac
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parseaddr
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values

from connector.errors import ConfigError, Problem

CrmName = Literal["amocrm", "bitrix24"]
CRM_NAMES: tuple[CrmName, ...] = ("amocrm", "bitrix24")

#: Ways to pay an invoice; "" is none.
PAYMENT_PROVIDERS = ("yookassa", "static", "crm")
RECEIPTS = ("prepayment", "payment")
YOOKASSA_URL = "https://api.yookassa.ru/v3"

#: What a static pay link may hold; each is put in quoted as a part of an address.
PAY_LINK_WORDS = ("сумма", "номер", "назначение")

DEFAULT_BASE_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class PaymentConfig:
    """How clients of one account pay invoices by a link. `provider` "": by bank transfer alone.

    `link` of the provider «static» is a template with {сумма}, {номер} and {назначение}. `url` is what plays
    YooKassa's API in place of the usual one, `return_url` where its page leads the client back to.
    `receipts`: with the data of 54-ФЗ receipts, «prepayment» where clients pay before they get the goods,
    «payment» where they pay for what they have; "" without. `tax_system`: 1 to 6, 0 for the shop's only one.
    """

    provider: str = ""
    shop_id: str = ""
    secret_key: str = field(repr=False, default="")
    url: str = YOOKASSA_URL
    return_url: str = ""
    link: str = ""
    receipts: str = ""
    tax_system: int = 0


#: Ways of a report that need no address of their own.
TAKEN_CHANNELS = ("crm", "feed", "email")


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One customer's CRM. `url` of Bitrix24 is the inbound webhook's address and thereby a secret; with an
    application it is the portal's own address.

    `hook_secret` is the unguessable part of the address that the CRM calls. `client_id` and `client_secret`
    are those of an integration (amoCRM) or a local application (Bitrix24), `redirect_url` the address that
    the CRM leads a person back to after consent, `oauth_urls` what plays the CRM's OAuth server in place of
    the usual one. `messengers`: channel -> Apprise's address of it, a secret.
    `plan` «enterprise» is Bitrix24's plan with the higher rate limit.
    """

    name: str
    crm: CrmName
    url: str = field(repr=False)
    token: str = field(repr=False, default="")
    hook_secret: str = field(repr=False, default="")
    application_token: str = field(repr=False, default="")
    plan: Literal["usual", "enterprise"] = "usual"
    client_id: str = ""
    client_secret: str = field(repr=False, default="")
    redirect_url: str = field(repr=False, default="")
    oauth_urls: tuple[str, ...] = ()
    payment: PaymentConfig = PaymentConfig()
    messengers: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def install_secret(self) -> str:
        """The unguessable part of the address where a portal tells of its application; another one than
        `hook_secret`, for everybody who opens the application can see it."""
        return self._derived("install", 40)

    @property
    def payment_secret(self) -> str:
        """The unguessable part of the address where a payment provider tells of payments."""
        return self._derived("payments", 40)

    def pay_token(self, document_id: int) -> str:
        """The unguessable part of the address where one invoice is paid: 128 bits."""
        return self._derived(f"pay:{document_id}", 32)

    def _derived(self, what: str, length: int) -> str:
        return hmac.new(self.hook_secret.encode(), f"{what}:{self.name}".encode(), "sha256").hexdigest()[
            :length
        ]

    @property
    def link_secret(self) -> str:
        """The key that the secret words of links for clients are derived from."""
        return hmac.new(self.hook_secret.encode(), f"links:{self.name}".encode(), "sha256").hexdigest()

    @property
    def uses_oauth(self) -> bool:
        """Whether tokens are got by consent and renewed, rather than written in the settings."""
        return bool(self.client_id) and not self.token and not _is_webhook(self.url)


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
    figures_dir: Path = Path("var/figures")
    secret_keys: tuple[str, ...] = field(repr=False, default=())

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
        offline: bool = False,
    ) -> Config:
        """Read the environment, then `.env` of the working directory for what is not set there.

        connecting: the CRM is being set up, and what it gives in return for our address is not known yet.
        offline: no CRM will be asked; where none is set up, there are no accounts.
        Raises ConfigError that names every missing or malformed variable.
        """
        if environ is not None:
            return _Reader(environ, connecting=connecting, offline=offline).config()
        file = env_file if env_file is not None else Path(".env")
        written = {key: value or "" for key, value in dotenv_values(file).items()}
        values = {**written, **os.environ}
        return _Reader(values, file.name, written, connecting=connecting, offline=offline).config()


class _Reader:
    """Takes variables one by one and collects what is wrong with them."""

    def __init__(
        self,
        values: Mapping[str, str],
        file: str = "",
        written: Collection[str] = (),
        *,
        connecting: bool,
        offline: bool = False,
    ) -> None:
        self._values = values
        self._has_no_crm = offline and not any(values.get(key) for key in ("ACCOUNT", "CRM", "CRM_URL"))
        self._connecting = connecting
        self._file = file
        self._written = written
        self._asked: set[str] = set()
        self.problems: list[Problem] = []

    def config(self) -> Config:
        names = [name.strip() for name in self._text("ACCOUNT", "main").split(",") if name.strip()]
        if self._has_no_crm:
            names = []
        for name in names:
            if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
                self._bad("ACCOUNT", f"имя аккаунта {name!r}: нужны строчные латинские буквы, цифры и дефис")
        config = Config(
            accounts=tuple(self._account(name) for name in names),
            database_url=self._text("DATABASE_URL", "sqlite:///var/connector.db"),
            templates_dir=self._folder("TEMPLATES_DIR", "templates"),
            base_url=self._url("BASE_URL", DEFAULT_BASE_URL),
            mail=self._mail(),
            web_host=self._text("WEB_HOST", "127.0.0.1"),
            web_port=self._number("WEB_PORT", 8080, 1, 65535),
            worker_threads=self._number("WORKER_THREADS", 4, 1, 64),
            render_workers=self._number("RENDER_WORKERS", 1, 1, 16),
            admin_password=self._text("ADMIN_PASSWORD", ""),
            log_level=self._choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
            figures_dir=Path(self._text("FIGURES_DIR", self._beside_store("figures"))),
            secret_keys=self._secret_keys(),
        )
        uses_oauth = any(account.uses_oauth for account in config.accounts)
        if uses_oauth and not self._text("SECRET_KEY", "") and not self._connecting:
            self._bad("SECRET_KEY", "не задана: ею шифруются токены CRM; получить: connector connect")
        if not names and not self._has_no_crm:
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
        client_id = self._text("CLIENT_ID", "", prefix)
        client_secret = self._text("CLIENT_SECRET", "", prefix)
        if bool(client_id) != bool(client_secret):
            missing = "CLIENT_SECRET" if client_id else "CLIENT_ID"
            self._bad(self._name(missing, prefix), "не задана: CLIENT_ID и CLIENT_SECRET нужны вместе")
        if crm == "amocrm" and not token and not client_id:
            self._bad(
                self._name("CRM_TOKEN", prefix),
                "не задана: нужен долгосрочный токен интеграции amoCRM; для OAuth вместо него CLIENT_ID "
                "и CLIENT_SECRET",
            )
        if crm == "bitrix24" and url:
            self._check_portal(url, client_id, prefix)
        secret = self._text("HOOK_SECRET", "", prefix)
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,128}", secret):
            self._bad(
                self._name("HOOK_SECRET", prefix),
                "нужны 16–128 латинских букв, цифр, «-» и «_»; получить: "
                'python -c "import secrets; print(secrets.token_urlsafe(24))"',
            )
        application_token = self._text("APPLICATION_TOKEN", "", prefix)
        by_app = bool(client_id) and not _is_webhook(url)
        if crm == "bitrix24" and not application_token and not by_app and not self._connecting:
            self._bad(
                self._name("APPLICATION_TOKEN", prefix),
                "не задана: скопируйте «Токен приложения» из карточки исходящего вебхука Битрикс24",
            )
        account = AccountConfig(
            name=name,
            crm=crm,  # type: ignore[arg-type]
            url=url.rstrip("/"),
            token=token,
            hook_secret=secret,
            application_token=application_token,
            client_id=client_id,
            client_secret=client_secret,
            redirect_url=self._text("REDIRECT_URL", "", prefix),
            plan=self._choice("CRM_PLAN", "usual", ("usual", "enterprise"), prefix),  # type: ignore[arg-type]
            oauth_urls=self._addresses("OAUTH_URL", self._text("OAUTH_URL", "", prefix), prefix),
            payment=self._payment(prefix),
            messengers=self._messengers(prefix),
        )
        if account.redirect_url:
            return account
        home = self._text("BASE_URL", DEFAULT_BASE_URL).rstrip("/")
        return replace(account, redirect_url=home + consent_path(account))

    def _check_portal(self, url: str, client_id: str, prefix: str) -> None:
        """Bitrix24's address: of a webhook, or of the portal alone where an application is used."""
        if not client_id and not _is_webhook(url) and not self._connecting:
            self._bad(
                self._name("CRM_URL", prefix),
                "адрес входящего вебхука Битрикс24 имеет вид https://портал/rest/1/код/; "
                "для локального приложения задайте ещё CLIENT_ID и CLIENT_SECRET",
            )
        if client_id and not re.fullmatch(r"https?://[^/\s]+/?", url):
            self._bad(
                self._name("CRM_URL", prefix),
                "для приложения (CLIENT_ID) нужен адрес портала без пути: https://портал",
            )

    def _messengers(self, prefix: str) -> dict[str, str]:
        """Channels by name: `NOTIFY_TELEGRAM` is the channel «telegram»; the account's own come first."""
        found: dict[str, str] = {}
        for key in sorted(self._values):
            named = re.fullmatch(rf"({re.escape(prefix)})?NOTIFY_([A-Z][A-Z0-9_]*)", key)
            if named is None:
                continue
            self._asked.add(key)
            name = named[2].lower()
            if name in TAKEN_CHANNELS:
                self._bad(key, f"имя «{name}» занято: назовите канал иначе")
            elif value := self._text(f"NOTIFY_{named[2]}", "", prefix):
                found[name] = value
        return found

    def _payment(self, prefix: str) -> PaymentConfig:
        provider = self._choice("PAYMENT_PROVIDER", "", ("", *PAYMENT_PROVIDERS), prefix)
        payment = PaymentConfig(
            provider=provider,
            shop_id=self._text("YOOKASSA_SHOP_ID", "", prefix),
            secret_key=self._text("YOOKASSA_SECRET_KEY", "", prefix),
            url=self._url("YOOKASSA_URL", YOOKASSA_URL, prefix).rstrip("/"),
            return_url=self._text("PAYMENT_RETURN_URL", "", prefix),
            link=self._text("PAYMENT_LINK", "", prefix),
            receipts=self._choice("YOOKASSA_RECEIPTS", "", ("", *RECEIPTS), prefix),
            tax_system=int(self._choice("YOOKASSA_TAX_SYSTEM", "", ("", *"123456"), prefix) or 0),
        )
        if provider == "yookassa":
            for key, value in (
                ("YOOKASSA_SHOP_ID", payment.shop_id),
                ("YOOKASSA_SECRET_KEY", payment.secret_key),
            ):
                if not value:
                    self._bad(
                        self._name(key, prefix),
                        "не задана: возьмите её в личном кабинете ЮKassa, «Интеграция» → «Ключи API»",
                    )
        if payment.return_url and not re.match(r"https?://[^/\s]+", payment.return_url):
            self._bad(self._name("PAYMENT_RETURN_URL", prefix), "нужен адрес, который начинается с https://")
        if provider == "static":
            self._check_pay_link(payment.link, prefix)
        return payment

    def _check_pay_link(self, link: str, prefix: str) -> None:
        unknown = set(re.findall(r"\{([^{}]*)\}", link)) - set(PAY_LINK_WORDS)
        if not re.match(r"https?://[^/\s{}]+", link):
            message = "нужен адрес, который начинается с https://; в нём можно писать {сумма} и {номер}"
        elif unknown:
            known = ", ".join(f"{{{word}}}" for word in PAY_LINK_WORDS)
            message = f"в ссылке непонятное слово {{{min(unknown)}}}: можно {known}"
        else:
            return
        self._bad(self._name("PAYMENT_LINK", prefix), message)

    def _addresses(self, key: str, text: str, prefix: str) -> tuple[str, ...]:
        """Addresses separated by commas; none is fine."""
        found = [part.strip().rstrip("/") for part in text.split(",") if part.strip()]
        if not all(re.fullmatch(r"https?://[^/\s]+(/\S*)?", address) for address in found):
            self._bad(self._name(key, prefix), "нужны адреса, которые начинаются с https://, через запятую")
        return tuple(found)

    def _secret_keys(self) -> tuple[str, ...]:
        """Keys that encrypt tokens; the first encrypts, all of them decrypt."""
        keys = tuple(part.strip() for part in self._text("SECRET_KEY", "").split(",") if part.strip())
        if not all(map(_is_key, keys)):
            self._bad(
                "SECRET_KEY",
                "нужен ключ из 44 знаков, как его печатает connector connect; несколько — через запятую",
            )
            return ()
        return keys

    def _mail(self) -> MailConfig:
        return MailConfig(
            host=self._text("SMTP_HOST", "127.0.0.1"),
            port=self._number("SMTP_PORT", 587, 1, 65535),
            sender=self._sender(),
            user=self._text("SMTP_USER", ""),
            password=self._text("SMTP_PASSWORD", ""),
            security=self._choice("SMTP_SECURITY", "starttls", ("none", "starttls", "tls")),  # type: ignore[arg-type]
        )

    def _sender(self) -> str:
        text = self._text("MAIL_FROM", "connector@localhost")
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(text)[1]):
            self._bad("MAIL_FROM", "нужен адрес: Отдел продаж <sales@example.ru>; имя с запятой — в кавычках")
        return text

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

    def _beside_store(self, name: str) -> str:
        """A folder next to the file of SQLite; in «var» where the store is PostgreSQL."""
        url = self._text("DATABASE_URL", "sqlite:///var/connector.db")
        file = url.partition("sqlite:///")[2]
        return str((Path(file).parent if file else Path("var")) / name)

    def _folder(self, key: str, default: str) -> Path:
        path = Path(self._text(key, default))
        if not path.is_dir():
            self._bad(key, f"нет такой папки: {path}")
        return path

    def _bad(self, place: str, message: str) -> None:
        self.problems.append(Problem(place, message))


def templates_dir_from_env() -> Path:
    """TEMPLATES_DIR alone, for what needs no other setting. Raises ConfigError when it is not there."""
    written = {key: value or "" for key, value in dotenv_values(Path(".env")).items()}
    folder = Path({**written, **os.environ}.get("TEMPLATES_DIR") or "templates")
    if not folder.is_dir():
        raise ConfigError([Problem("TEMPLATES_DIR", f"нет такой папки: {folder}")])
    return folder


def consent_path(account: AccountConfig) -> str:
    """Where the CRM leads a person back to after consent; a portal also tells of its application there."""
    path = f"/oauth/{account.crm}/{account.name}"
    return f"{path}/{account.install_secret}" if account.crm == "bitrix24" else path


def _is_webhook(url: str) -> bool:
    return re.search(r"/rest/\d+/[^/]+/?$", url) is not None


def _is_key(text: str) -> bool:
    """Whether `text` is 32 bytes in URL-safe base64, the shape of a Fernet key."""
    try:
        return len(text) == 44 and len(base64.urlsafe_b64decode(text)) == 32
    except ValueError:
        return False
