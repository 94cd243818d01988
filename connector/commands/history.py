"""Commands about the past: read it from the CRM, repair what webhooks missed."""

from __future__ import annotations

import click

from connector.commands.common import account_option, chosen_account, opened

_READ = {"deals": "сделки", "moves": "движения по этапам"}


@click.command()
@account_option
def backfill(account: str | None) -> None:
    """Прочитать из CRM все сделки и их движение по этапам. Повторять можно в любой момент."""
    with opened() as app:
        name = chosen_account(app, account)

        def show(what: str, count: int) -> None:
            click.echo(f"\r{_READ[what]}: {count}", nl=False, err=True)

        done = app.backfill.run(name, show)
        click.echo(err=True)
        click.echo(f"Прочитано: сделок {done.deals}, движений {done.moves}.")


@click.command()
@account_option
def reconcile(account: str | None) -> None:
    """Сверить сделки с CRM сейчас и взять в работу то, о чём не пришёл вебхук."""
    with opened() as app:
        done = app.reconcile.run(chosen_account(app, account))
        click.echo(f"Проверено сделок: {done.checked}, найдено пропущенных изменений: {done.differing}.")
