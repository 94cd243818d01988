"""Commands about the past: read it from the CRM, repair what webhooks missed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from connector.app import App
from connector.backfill import PARTS, Count, Step
from connector.commands.common import account_option, chosen_account, local_time, opened, stamp
from connector.commands.progress import Progress
from connector.errors import ConnectorError
from connector.reconcile import Difference, Kind, Plan
from connector.store import facts
from connector.store.facts import Directory

_TITLES = {part.name: part.title for part in PARTS}

#: What a plan calls its kinds, and the sign before each of its lines.
KINDS = {
    Kind.NEW: ("новые", "+"),
    Kind.MOVED: ("перешли на другой этап", "→"),
    Kind.CHANGED: ("изменены", "~"),
    Kind.DELETED: ("удалены", "−"),
    Kind.RESTORED: ("восстановлены", "↺"),
}

#: Lines of a plan that are shown of each kind.
SHOWN = 5

INTERRUPTED = 130


@click.command()
@click.option("--anew", is_flag=True, help="Читать с начала, даже если прошлое чтение прервалось.")
@account_option
def backfill(anew: bool, account: str | None) -> None:
    """Прочитать из CRM все сделки и их движение по этапам.

    Прерванное чтение продолжается с того места, где остановилось. Повторять можно в любой момент, и при
    работающем Коннекторе тоже.
    """
    with opened() as app:
        name = chosen_account(app, account)
        broken_off_at = None if anew else app.backfill.broken_off_at(name)
        if broken_off_at is not None:
            began = stamp(broken_off_at, local_time(app, name))
            click.echo(f"Продолжаю чтение, начатое {began}. С начала: connector backfill --anew", err=True)
        progress = Progress()
        counts: dict[str, Count] = {}

        def show(step: Step) -> None:
            counts[step.part] = step.count
            progress.show(_TITLES[step.part], step.count.read, step.share)

        try:
            done = app.backfill.run(name, show, anew=anew)
        except (KeyboardInterrupt, ConnectorError) as stopped:
            progress.close()
            _tell(counts)
            click.echo("Прочитанное сохранено. Продолжить с этого места: connector backfill", err=True)
            if isinstance(stopped, KeyboardInterrupt):
                sys.exit(INTERRUPTED)
            raise
        progress.close()
        _tell(done.counts)


def _tell(counts: Mapping[str, Count]) -> None:
    for part in PARTS:
        count = counts.get(part.name, Count())
        changed = f", изменилось {count.changed}" if count.changed else ""
        click.echo(
            f"{part.title.capitalize()}: прочитано {count.read}, новых {count.new}{changed}, "
            f"пропущено {count.skipped} (уже известны)"
        )


@click.command("import-history")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--account", default="history", show_default=True, help="Имя аккаунта, в который загрузить.")
def import_history(folder: Path, account: str) -> None:
    """Загрузить историю отдела из папки с файлами (account.json, deals.csv, …) в аккаунт без CRM.

    Таблицы показателей по ней строит connector report. Повторная загрузка заменяет прежнюю.
    """
    with opened(offline=True) as app:
        progress = Progress()
        try:
            counts = app.history_import.run(folder, account, progress.show)
        finally:
            progress.close()
        for table, count in counts.items():
            if count:
                click.echo(f"{table}: {count}")
        click.echo(f"Готово. Таблицы: connector report sales --account {account} --format csv")


@click.command()
@click.option("--apply", "apply_", is_flag=True, help="Взять расхождения в работу; без него только показать.")
@click.option("--force", is_flag=True, help="Взять в работу и необычно много расхождений.")
@account_option
def reconcile(apply_: bool, force: bool, account: str | None) -> None:
    """Сверить сделки с CRM: показать, о чём не пришёл вебхук; с --apply взять это в работу."""
    with opened() as app:
        name = chosen_account(app, account)
        plan = app.reconcile.plan(name)
        _show(app, plan)
        if not plan.differences:
            return
        if not apply_:
            click.echo("Ничего не изменено. Взять в работу: connector reconcile --apply")
            return
        taken = app.reconcile.apply(plan, force=force)
        click.echo(f"Взято в работу: {taken}. Сделки прочитает работающий Коннектор (connector serve).")


def _show(app: App, plan: Plan) -> None:
    click.echo(f"Проверено сделок: {plan.checked}, расхождений: {len(plan.differences)}.")
    with app.db.read() as conn:
        directory = facts.directory(conn, plan.account)
    zone = local_time(app, plan.account)
    for kind, (title, sign) in KINDS.items():
        found = plan.of_kind(kind)
        if not found:
            continue
        click.echo(f"  {title}: {len(found)}")
        for difference in found[:SHOWN]:
            click.echo(f"    {sign} {_line(difference, directory, zone)}")
        if len(found) > SHOWN:
            click.echo(f"      и ещё {len(found) - SHOWN}")


def _line(difference: Difference, directory: Directory, zone: ZoneInfo) -> str:
    name = f" «{difference.name}»" if difference.name else ""
    places = [_place(place, directory) for place in (difference.before, difference.after) if place]
    if difference.kind is not Kind.MOVED:
        places = places[-1:]
    where = f", {' → '.join(places)}" if places else ""
    return f"{difference.deal_id}{name}{where}, {stamp(difference.at, zone)}"


def _place(place: tuple[str, str], directory: Directory) -> str:
    stage = directory.stage(*place)
    return stage.name if stage else place[1]
