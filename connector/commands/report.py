"""`connector report`: a report as a message, or one figure table as a file."""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta

import click

from connector.commands.common import account_option, chosen_account, local_time, opened
from connector.domain import Period
from connector.figures.export import Format
from connector.figures.tables import FIGURES
from connector.reports import REPORTS

_day = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("name", type=click.Choice(list(dict.fromkeys([*REPORTS, *FIGURES]))))
@account_option
@click.option("--from", "start", type=_day, help="Первый день таблицы; без него — первый день месяца.")
@click.option("--to", "end", type=_day, help="День после последнего; без него — завтрашний.")
@click.option("--format", "format", type=click.Choice(["csv", "json"]), help="Таблица, а не сообщение.")
@click.option("--send", is_flag=True, help="Отправить сообщение его получателям сейчас.")
def report(
    name: str,
    account: str | None,
    start: datetime | None,
    end: datetime | None,
    format: Format | None,
    send: bool,
) -> None:
    """Отчёт как сообщение (owner_daily, loss_reasons …) или таблица показателей в CSV или JSON."""
    with opened() as app:
        chosen = chosen_account(app, account)
        if name in REPORTS and start is None and format is None:
            if send:
                click.echo(app.reporting.send_now(chosen, name))
            else:
                made = app.reporting.preview(chosen, name, app.clock.now())
                click.echo(f"{made.title}\n\n{made.text.strip()}")
            return
        today = app.clock.now().astimezone(local_time(app, chosen)).date()
        period = Period(_date(start) or today.replace(day=1), _date(end) or today + timedelta(days=1))
        app.reporting.write_table(chosen, name, period, format or "csv", sys.stdout)


def _date(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
