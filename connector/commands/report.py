"""`connector report`: a report as a message, or one figure table as a file."""

from __future__ import annotations

import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation

import click

from connector.commands.common import account_option, chosen_account, local_time, opened
from connector.domain import Period
from connector.figures.export import Format
from connector.figures.tables import FIGURES
from connector.reports import REPORTS

_day = click.DateTime(["%Y-%m-%d"])


def _money(value: str) -> Decimal:
    try:
        return Decimal("".join(value.split()).replace(",", "."))
    except InvalidOperation:
        raise click.BadParameter(f"«{value}»: нужна сумма, например 10000000") from None


@click.command()
@click.argument("name", type=click.Choice(list(dict.fromkeys([*REPORTS, *FIGURES]))))
@account_option
@click.option("--from", "start", type=_day, help="Первый день таблицы; без него — первый день месяца.")
@click.option("--to", "end", type=_day, help="День после последнего; без него — завтрашний.")
@click.option("--format", "format", type=click.Choice(["csv", "json"]), help="Таблица, а не сообщение.")
@click.option("--as-of", "as_of", type=_day, help="Как было на начало этого дня; без него — как есть.")
@click.option(
    "--goal", type=_money, metavar="СУММА", help="Выручка для reverse_funnel; без неё — план месяца."
)
@click.option("--cohort-from", "cohort_from", type=_day, help="Воронка по сделкам, созданным с этого дня …")
@click.option("--cohort-to", "cohort_to", type=_day, help="… до этого; без них — за 180 дней до --from.")
@click.option("--send", is_flag=True, help="Отправить сообщение его получателям сейчас.")
@click.option("--receipts", is_flag=True, help="Что, кому, когда и каким путём ушло за последние дни.")
@click.option("--withdraw", is_flag=True, help="Отозвать ссылки на все страницы этого отчёта.")
def report(
    name: str,
    account: str | None,
    start: datetime | None,
    end: datetime | None,
    format: Format | None,
    as_of: datetime | None,
    goal: Decimal | None,
    cohort_from: datetime | None,
    cohort_to: datetime | None,
    send: bool,
    receipts: bool,
    withdraw: bool,
) -> None:
    """Отчёт как сообщение (owner_daily, loss_reasons …) или таблица показателей в CSV или JSON."""
    with opened(offline=not send) as app:
        chosen = chosen_account(app, account, imported=not send)
        if receipts:
            for line in app.reporting.receipts(chosen, name):
                click.echo(line)
            return
        if withdraw:
            names = dict.fromkeys([name, *(s.name for s in app.playbook.reports if s.report == name)])
            number = sum(app.report_pages.withdraw(chosen, one) for one in names)
            click.echo(f"Отозвано ссылок: {number}")
            return
        if name in REPORTS and start is None and format is None:
            if send:
                click.echo(app.reporting.send_now(chosen, name))
            else:
                made = app.reporting.preview(chosen, name, app.clock.now())
                click.echo(f"{made.title}\n\n{made.text.strip()}")
            return
        today = app.clock.now().astimezone(local_time(app, chosen)).date()
        period = Period(_date(start) or today.replace(day=1), _date(end) or today + timedelta(days=1))
        cohort = None
        if cohort_from or cohort_to:
            if cohort_from is None or cohort_to is None:
                raise click.UsageError("нужны оба: --cohort-from и --cohort-to")
            cohort = Period(cohort_from.date(), cohort_to.date())
        moment = None
        if as_of:
            moment = datetime.combine(as_of.date(), time(), local_time(app, chosen))
        app.reporting.write_table(
            chosen, name, period, format or "csv", sys.stdout, as_of=moment, goal=goal, cohort=cohort
        )


def _date(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
