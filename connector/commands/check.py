"""`check` and `connect`: every mistake named before anything runs; from nothing to a working hook."""

from __future__ import annotations

import sys

import click

from connector.app import App
from connector.commands.common import account_option, chosen_account, opened
from connector.config import CRM_NAMES
from connector.errors import CrmError, Problem
from connector.playbook.check import check_against_crm, check_fields
from connector.playbook.model import UpdateAction
from connector.store import facts
from connector.web.webhooks import hook_path


@click.command()
@click.option("--offline", is_flag=True, help="Не спрашивать CRM: только файлы и настройки.")
def check(offline: bool) -> None:
    """Проверить настройки, правила и шаблоны; назвать каждую ошибку с её местом."""
    with opened() as app:
        playbook = app.playbook
        click.echo(f"Правил: {len(playbook.rules)}, документов: {len(app.kit.documents)}. Файлы в порядке.")
        if offline:
            return
        problems: list[Problem] = []
        for account in app.config.accounts:
            app.directories.refresh(account.name)
            problems += _against_crm(app, account.name)
        _show(problems)


@click.command()
@click.argument("crm", type=click.Choice(CRM_NAMES))
@account_option
def connect(crm: str, account: str | None) -> None:
    """Подключить CRM: проверить доступ, сверить правила с воронками, подписаться на изменения."""
    with opened(connecting=True) as app:
        name = chosen_account(app, account)
        config = app.config.account(name)
        if config.crm != crm:
            raise click.UsageError(f"в настройках аккаунта {name} стоит CRM={config.crm}")
        client = app.clients[name]
        info = client.account_info()
        rights = "администратор" if info.is_admin else "не администратор, часть вызовов CRM откажет"
        click.echo(f"✓ Доступ есть: «{info.name}», работаем как {info.user_name} ({rights})")
        app.directories.refresh(name)
        with app.db.read() as conn:
            directory = facts.directory(conn, name)
        stages = sum(len(pipeline.stages) for pipeline in directory.pipelines.values())
        click.echo(f"✓ Воронок: {len(directory.pipelines)}, этапов: {stages}, людей: {len(directory.users)}")
        address = app.config.base_url.rstrip("/") + hook_path(config)
        try:
            subscription = client.subscribe(address)
        except CrmError as error:
            raise click.ClickException(f"подписаться не удалось: {error}") from None
        if subscription.manual_steps:
            click.echo("Осталось сделать руками в CRM (адрес содержит секрет, не пересылайте его):")
            for number, step in enumerate(subscription.manual_steps, 1):
                click.echo(f"  {number}. {step}")
        else:
            click.echo(f"✓ Вебхук {'создан' if subscription.created else 'уже был и работает'}")
        click.echo("История прочитается командой connector backfill, работать начнёт connector serve.")
        _show(_against_crm(app, name))


def _against_crm(app: App, account: str) -> list[Problem]:
    with app.db.read() as conn:
        directory = facts.directory(conn, account)
    problems = check_against_crm(
        app.playbook,
        list(directory.pipelines.values()),
        list(directory.users.values()),
        list(directory.loss_reasons.values()),
    )
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


def _show(problems: list[Problem]) -> None:
    if not problems:
        click.echo("✓ Правила сходятся с CRM.")
        return
    for problem in problems:
        click.echo(str(problem), err=True)
    click.echo(f"Ошибок: {len(problems)}", err=True)
    sys.exit(1)
