"""Commands that look: how it stands, why a deal got what it got, what could not be done."""

from __future__ import annotations

import sys

import click

from connector.commands.common import account_option, chosen_account, local_time, opened, stamp
from connector.effects import describe
from connector.explain import STATUSES, as_lines, status_text, tell
from connector.store import outbox


@click.command()
def status() -> None:
    """Как дела: что пришло, что ушло, что ждёт и что не удалось. Код выхода 1, если что-то не удалось."""
    with opened() as app:
        found = app.status()
        for account in found.accounts:
            zone = local_time(app, account.name)
            click.echo(f"{account.name} ({account.crm})")
            if account.row is None or account.row.directory_read_at is None:
                click.echo(f"  с CRM ещё не связались: connector connect {account.crm}")
            click.echo(f"  сделок известно: {account.deals}")
            click.echo(f"  последний вызов CRM: {stamp(account.last_event_at, zone)}")
            events = ", ".join(f"{name} {count}" for name, count in sorted(account.events.items()))
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
            for error in account.last_errors:
                click.echo(f"  повторяем: {error}")
            for effect in (*account.held, *account.dead):
                click.echo(f"  сделка {effect.deal_id}: {describe(effect)}: {status_text(effect)}")
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
        for line in as_lines(tell(app.db, name, deal), lambda moment: moment.astimezone(zone)):
            click.echo(line)


@click.command("dead-letters")
@click.option("--repeat", type=int, metavar="N", help="Вернуть действие с этим номером в работу.")
@click.option("--repeat-all", is_flag=True, help="Вернуть в работу все.")
def dead_letters(repeat: int | None, repeat_all: bool) -> None:
    """Что не удалось после всех попыток; --repeat возвращает в работу."""
    with opened() as app:
        with app.db.read() as conn:
            dead = outbox.with_status(conn, "dead", limit=1000)
        chosen = [effect.id for effect in dead] if repeat_all else [repeat] if repeat is not None else []
        done = {effect_id: app.effects.repeat(effect_id) for effect_id in chosen}
        for effect_id, is_back in done.items():
            click.echo(f"{effect_id}: {'снова в работе' if is_back else 'такого нет среди неудавшихся'}")
        if chosen:
            sys.exit(0 if all(done.values()) else 1)
        for effect in dead:
            click.echo(
                f"{effect.id}  {effect.account}  сделка {effect.deal_id}  {describe(effect)}: {effect.error}"
            )
        click.echo(f"Всего: {len(dead)}")
