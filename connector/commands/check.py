"""`check`: every mistake named before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import click

from connector.app import App
from connector.commands.common import opened
from connector.config import TAKEN_CHANNELS
from connector.crm.registry import CRMS
from connector.documents import trial
from connector.documents.sample_deals import SAMPLES
from connector.errors import ConfigError, DeliveryError, PaymentError, Problem
from connector.playbook.check import check_against_crm, check_fields, check_tags
from connector.playbook.model import UpdateAction
from connector.playbook.words import unknown
from connector.store import facts

#: Render processes of the trial: a second one halves the wait, more than two would take the machine.
TRIED_AT_ONCE = 2


@click.command()
@click.option("--offline", is_flag=True, help="Не спрашивать CRM: только файлы и настройки.")
def check(offline: bool) -> None:
    """Проверить настройки, правила и шаблоны; назвать каждую ошибку с её местом."""
    with opened() as app:
        playbook = app.playbook
        mistakes = trial.run(app.kit, workers=TRIED_AT_ONCE)
        if mistakes:
            raise ConfigError(mistakes)
        click.echo(
            f"Правил: {len(playbook.rules)}, документов: {len(app.kit.documents)}, писем: "
            f"{len(app.kit.messages)}. Файлы в порядке, всё сделано для пробы на {len(SAMPLES)} примерах."
        )
        mistakes = against_channels(app)
        if mistakes:
            raise ConfigError(mistakes)
        if offline:
            return
        problems: list[Problem] = []
        for account in app.config.accounts:
            app.directories.refresh(account.name)
            problems += against_crm(app, account.name)
            problems += against_provider(app, account.name)
        problems += against_address(app.config.base_url, [one.url for one in app.config.accounts])
        show(problems + against_mail(app))


def against_address(base_url: str, crm_urls: Sequence[str]) -> list[Problem]:
    """That a CRM out in the world cannot call us where only this machine can."""
    if all(map(is_own_machine, crm_urls)) or not is_own_machine(base_url):
        return []
    message = (
        f"{base_url} открывается только с этой машины: CRM не доставит сюда ни одного вебхука, а "
        "клиент не откроет ссылку из письма. Впишите внешний адрес Коннектора (https://…)"
    )
    return [Problem("BASE_URL", message)]


def is_own_machine(url: str) -> bool:
    """Whether an address names the machine that asks for it."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def against_channels(app: App) -> list[Problem]:
    """Ways of the schedules that no account has set up; ConfigError for an address that is none."""
    known = {*TAKEN_CHANNELS, *(name for of in app.messengers.values() for name in of)}
    return [
        Problem(
            schedule.place_of("by"),
            f"{unknown('нет канала', way, known)}; канал задаёт NOTIFY_{way.upper()} в .env",
        )
        for schedule in app.playbook.reports
        for way in schedule.by
        if way not in known
    ]


def against_mail(app: App) -> list[Problem]:
    """Why the mail server does not let us in: a wrong password must not wait for the first letter."""
    try:
        app.email.look_in()
    except DeliveryError as error:
        advice = "проверьте SMTP_HOST, SMTP_PORT, SMTP_SECURITY, SMTP_USER и SMTP_PASSWORD"
        return [Problem("SMTP_HOST", f"почтовый сервер не пускает ({error}): {advice}")]
    click.echo("✓ Почтовый сервер пускает")
    return []


def against_crm(app: App, account: str) -> list[Problem]:
    """What in the rules the account's CRM does not know."""
    with app.db.read() as conn:
        directory = facts.directory(conn, account)
    problems = check_against_crm(
        app.playbook,
        list(directory.pipelines.values()),
        list(directory.users.values()),
        list(directory.loss_reasons.values()),
    )
    if not CRMS[app.config.account(account).crm].has_tags:
        problems += check_tags(app.playbook)
    writes_fields = any(
        isinstance(action, UpdateAction) and action.field_values
        for rule in app.playbook.rules
        for action in rule.do
    )
    if writes_fields:
        names = [
            name for field in app.clients[account].custom_fields("deal") for name in (field.name, field.id)
        ]
        problems += check_fields(app.playbook, names)
    return problems


def against_provider(app: App, account: str) -> list[Problem]:
    """What is wrong with the account's payment provider; what is right is printed."""
    provider = app.providers.get(account)
    if provider is None:
        return []
    try:
        click.echo(f"✓ Оплата по ссылке: {provider.title}, {provider.check()}")
    except PaymentError as error:
        return [Problem("PAYMENT_PROVIDER", str(error))]
    return []


def show(problems: list[Problem]) -> None:
    """Print problems and end with code 1, or say that all is well."""
    if not problems:
        click.echo("✓ Правила сходятся с CRM.")
        return
    for problem in problems:
        click.echo(str(problem), err=True)
    click.echo(f"Ошибок: {len(problems)}", err=True)
    sys.exit(1)
