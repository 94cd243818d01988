"""Commands that look: how it stands, why a deal got what it got, what could not be done."""

from __future__ import annotations

import sys

import click

from connector.app import App
from connector.commands.common import account_option, chosen_account, local_time, opened, stamp
from connector.explain import EVENT_COUNTS, STATUSES, as_lines, status_text, tell
from connector.store import outbox
from connector.store.jobs import DeadJob
from connector.store.outbox import Effect

JOBS = {
    "event": "чтение сделки после сигнала CRM",
    "delivery": "разбор большой доставки CRM",
    "happening": "правила после события сделки",
    "payment": "проверка оплаты",
    "reconcile": "сверка",
    "directory": "чтение воронок и людей",
    "activities": "чтение звонков, встреч, сообщений и задач",
    "activities_gone": "проверка удалённых дел и задач",
    "webhook": "проверка вебхука",
    "control": "контроль плана",
    "answers": "чтение ответов на вопросы о плане",
    "recheck_held": "проверка того, что ждёт данных",
}


@click.command()
def status() -> None:
    """Как дела: что пришло, что ушло, что ждёт и что не удалось. Код выхода 1, если что-то не удалось."""
    with opened() as app:
        found = app.status()
        if found.kit_fault is not None:
            click.echo("ПРАВИЛА И ШАБЛОНЫ: работает прежняя версия, в новой ошибка:")
            for problem in found.kit_fault.problems:
                click.echo(f"  {problem}")
        for account in found.accounts:
            zone = local_time(app, account.name)
            click.echo(f"{account.name} ({account.crm})")
            if account.hook_repaired_at:
                click.echo(
                    f"  вебхук был отключён в CRM, включён снова: {stamp(account.hook_repaired_at, zone)}"
                )
            if account.access_problem:
                click.echo(f"  НЕТ ДОСТУПА: {account.access_problem}")
            if account.row is None or account.row.directory_read_at is None:
                click.echo(f"  с CRM ещё не связались: connector connect {account.crm}")
            click.echo(f"  сделок известно: {account.deals}")
            click.echo(f"  последний вызов CRM: {stamp(account.last_event_at, zone)}")
            events = ", ".join(
                f"{title} {account.events[name]}"
                for name, title in EVENT_COUNTS.items()
                if name in account.events
            )
            click.echo(f"  сигналы: {events or 'не было'}")
            effects = ", ".join(
                f"{title} {account.effects[name]}"
                for name, title in STATUSES.items()
                if name in account.effects
            )
            click.echo(f"  действия: {effects or 'не было'}")
            jobs = account.jobs
            click.echo(
                f"  работа: ждёт {jobs.ready} (пора {jobs.due}), идёт {jobs.running}, брошено {jobs.dead}"
            )
            click.echo(f"  {account.missed.text}")
            for error in account.last_errors:
                click.echo(f"  повторяем: {error}")
            for job in account.dead_jobs[-5:]:
                click.echo(f"  {stamp(job.died_at, zone)}  {_job(job)}: {job.error}")
            for effect in (*account.held, *account.dead):
                deal = f"сделка {effect.deal_id}: " if effect.deal_id else ""
                click.echo(f"  {deal}{app.effects.describe(effect)}: {status_text(effect)}")
        for name, reason, count in found.refused:
            click.echo(f"отклонено за неделю: {name}: {reason}: {count}")
    sys.exit(0 if found.is_well else 1)


@click.command()
@click.option("--deal", required=True, help="Номер сделки в CRM.")
@account_option
def why(deal: str, account: str | None) -> None:
    """Почему сделка получила то, что получила: сигналы, правила, документы, письма, задержки."""
    with opened() as app:
        name = chosen_account(app, account)
        zone = local_time(app, name)
        story = tell(app.db, name, deal)
        for line in as_lines(story, lambda moment: moment.astimezone(zone), app.effects.describe):
            click.echo(line)


@click.command("dead-letters")
@click.option("--repeat", metavar="N", help="Вернуть в работу действие (17) или задание (job-17).")
@click.option("--repeat-all", is_flag=True, help="Вернуть в работу все.")
def dead_letters(repeat: str | None, repeat_all: bool) -> None:
    """Что не удалось после всех попыток; --repeat возвращает в работу."""
    with opened() as app:
        with app.db.read() as conn:
            dead = outbox.with_status(conn, "dead", limit=1000)
        # A dead effect's job says nothing that the effect does not.
        jobs = [job for job in app.queue.dead() if job.task != "effect"]
        letters = {str(e.id): f"{e.account}  {_deal(e)}{app.effects.describe(e)}: {e.error}" for e in dead}
        letters |= {f"job-{job.id}": f"{job.account}  {_job(job)}: {job.error}" for job in jobs}
        chosen = list(letters) if repeat_all else [repeat] if repeat is not None else []
        done = {number: _repeat(app, number) for number in chosen}
        for number, is_back in done.items():
            click.echo(f"{number}: {'снова в работе' if is_back else 'такого нет среди неудавшихся'}")
        if chosen:
            sys.exit(0 if all(done.values()) else 1)
        for number, text in letters.items():
            click.echo(f"{number}  {text}")
        click.echo(f"Всего: {len(letters)}")


def _repeat(app: App, number: str) -> bool:
    kind, _, digits = number.rpartition("-")
    if not digits.isdecimal() or kind not in ("", "job"):
        raise click.BadParameter(f"нужен номер из списка, например 17 или job-17, а стоит {number}")
    if not kind:
        return app.effects.repeat(int(digits))
    with app.db.begin() as conn:
        return app.queue.requeue(conn, int(digits))


def _deal(effect: Effect) -> str:
    return f"сделка {effect.deal_id}  " if effect.deal_id else ""


def _job(job: DeadJob) -> str:
    if job.task == "report":
        return f"отчёт «{job.args['name']}»"
    return JOBS.get(job.task, job.task)
