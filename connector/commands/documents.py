"""`connector documents`: the register, whether it is intact, corrections, void documents, links."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from connector.app import App
from connector.commands.common import account_option, chosen_account, local_time, opened
from connector.errors import ConnectorError
from connector.register import Entry, Finding, month_of, remake, verify
from connector.register_files import to_csv, to_xlsx

_DAY = click.DateTime(["%Y-%m-%d", "%d.%m.%Y"])


@click.group()
def documents() -> None:
    """Реестр документов: что выпущено, что аннулировано, почему пропущен номер."""


def period_options(command: click.decorators.FC) -> click.decorators.FC:
    """`--from` and `--to`; without them the present month."""
    command = click.option("--to", "last", type=_DAY, help="Последний день. Без него — конец месяца.")(
        command
    )
    return click.option("--from", "first", type=_DAY, help="Первый день. Без него — начало этого месяца.")(
        command
    )


@documents.command("list")
@period_options
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "xlsx"]), default="table", show_default=True
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Файл; для xlsx обязателен.")
@account_option
def list_(
    first: datetime | None, last: datetime | None, form: str, output: Path | None, account: str | None
) -> None:
    """Реестр за период таблицей, CSV или книгой Excel."""
    if form == "xlsx" and output is None:
        raise click.UsageError("книгу Excel на экран не вывести: назовите файл, --output реестр.xlsx")
    with opened() as app:
        entries = _entries(app, chosen_account(app, account), first, last)
    content = to_xlsx(entries) if form == "xlsx" else to_csv(entries) if form == "csv" else _table(entries)
    if output is None:
        click.echo(content, nl=False)
        return
    output.write_bytes(content if isinstance(content, bytes) else content.encode())
    click.echo(f"{output}: строк {len(entries)}", err=True)


@documents.command("verify")
@period_options
@click.option("--remake", "again", is_flag=True, help="Ещё и сделать каждый документ заново и сравнить.")
@account_option
def verify_(first: datetime | None, last: datetime | None, again: bool, account: str | None) -> None:
    """Проверить, что файлы в архиве те же, что получил клиент. Код выхода 1, если хоть один не тот."""
    with opened() as app:
        name = chosen_account(app, account)
        ids = [entry.document_id for entry in _entries(app, name, first, last) if entry.document_id]
        findings: list[Finding] = []
        with click.progressbar(ids, label="Проверяю", file=sys.stderr, show_pos=True) as bar:
            for document_id in bar:
                findings += verify(app.db, name, [document_id])
                if again:
                    findings += remake(app.db, name, document_id)[1]
    for finding in findings:
        document = finding.document
        click.echo(
            f"{document.title} № {document.number} ({document.id}), {finding.file_name}: {finding.fault}"
        )
    click.echo(f"Документов: {len(ids)}; с расхождениями: {len({f.document.id for f in findings})}")
    sys.exit(1 if findings else 0)


@documents.command("reissue")
@click.argument("document_id", type=int)
@click.option("--reason", required=True, help="Почему: попадёт в реестр.")
@account_option
def reissue(document_id: int, reason: str, account: str | None) -> None:
    """Выпустить новую редакцию документа по нынешним данным сделки; прежняя будет аннулирована."""
    with opened() as app:
        ordered = app.register.reissue(chosen_account(app, account), document_id, reason)
    if ordered is None:
        raise ConnectorError(
            f"документа {document_id} нет, он аннулирован или его новая редакция уже заказана"
        )
    click.echo("Новая редакция заказана: её сделает работающий Коннектор (serve или worker).")


@documents.command("paid")
@click.argument("document_id", type=int)
@click.option("--on", "day", type=_DAY, required=True, help="День, когда деньги пришли.")
@click.option("--amount", help="Сколько пришло, например 1200.50. Без неё — всё, что осталось оплатить.")
@account_option
def paid(document_id: int, day: datetime, amount: str | None, account: str | None) -> None:
    """Отметить оплату счёта, пришедшую на расчётный счёт. Дальше — как при оплате по ссылке."""
    with opened() as app:
        name = chosen_account(app, account)
        zone = local_time(app, name)
        if day.date() > app.clock.now().astimezone(zone).date():
            raise click.UsageError(f"{day:%d.%m.%Y} ещё не наступило")
        # Noon: whatever the zone of whoever reads it, the day stays the same.
        at = day.replace(hour=12, tzinfo=zone)
        came = app.settling.mark_paid(name, document_id, at, _sum(amount))
    click.echo(f"Отмечено: пришло {came:.2f}. Правила об оплате выполнит работающий Коннектор.")


@documents.command("void")
@click.argument("document_id", type=int)
@click.option("--reason", required=True, help="Почему: попадёт в реестр.")
@account_option
def void(document_id: int, reason: str, account: str | None) -> None:
    """Аннулировать документ. Файл и номер остаются в архиве."""
    with opened() as app:
        done = app.register.void(chosen_account(app, account), document_id, reason)
    if done is None:
        raise ConnectorError(f"документа {document_id} нет; номера документов показывает documents list")
    if not done:
        raise ConnectorError(f"документ {document_id} уже аннулирован")
    click.echo("Документ аннулирован.")


@documents.command("link")
@click.argument("document_id", type=int)
@account_option
def link(document_id: int, account: str | None) -> None:
    """Напечатать ссылку на страницу документа для клиента. Истёкшая или отозванная заменяется новой."""
    with opened() as app:
        name = chosen_account(app, account)
        given = app.links.renew(name, document_id)
        zone = local_time(app, name)
    if given is None:
        raise ConnectorError(f"документа {document_id} нет; номера документов показывает documents list")
    click.echo(given.url)
    last_day = given.expires_at.astimezone(zone) - timedelta(seconds=1)
    click.echo(f"Открывается по {last_day:%d.%m.%Y} включительно.", err=True)


@documents.command("unlink")
@click.argument("document_id", type=int)
@account_option
def unlink(document_id: int, account: str | None) -> None:
    """Отозвать ссылки на документ: клиент увидит, что доступ закрыт. Сам документ остаётся в силе."""
    with opened() as app:
        if not app.links.withdraw(chosen_account(app, account), document_id):
            raise ConnectorError(f"действующих ссылок на документ {document_id} нет")
    click.echo("Ссылка отозвана. Новую выдаёт documents link.")


def _sum(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(text.replace(" ", "").replace("\u00a0", "").replace(",", "."))
    except InvalidOperation:
        raise click.UsageError(f"--amount: нужна сумма вроде 1200.50, а стоит {text!r}") from None
    if not value.is_finite() or value <= 0 or value != value.quantize(Decimal("0.01")):
        raise click.UsageError("--amount: нужна сумма больше нуля, не точнее копейки")
    return value


def _entries(app: App, account: str, first: datetime | None, last: datetime | None) -> list[Entry]:
    today = app.clock.now().astimezone(local_time(app, account)).date()
    since, until = month_of(first.date() if first else today)
    since = first.date() if first else since
    until = date.fromordinal(last.date().toordinal() + 1) if last else until
    if until <= since:
        raise click.UsageError(f"период пуст: {since:%d.%m.%Y} позже, чем --to")
    return app.register.entries(account, since, until)


def _table(entries: Sequence[Entry]) -> str:
    lines = [
        f"{entry.document_id or '':>6}  {entry.issued_on:%d.%m.%Y}  {entry.title} № {entry.number}"
        + (f", редакция {entry.version}" if entry.version > 1 else "")
        + (f"  сделка {entry.deal_id}" if entry.deal_id else "")
        + (f"  {entry.client}" if entry.client else "")
        + (f"  {entry.total:.2f} {entry.currency}" if entry.total is not None else "")
        + f"  {entry.status}"
        + (f": {entry.remark}" if entry.remark else "")
        + (f"  вариант «{entry.variant}»" if entry.variant else "")
        for entry in entries
    ]
    return "\n".join([*lines, f"Всего: {len(entries)}", ""])
