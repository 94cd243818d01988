"""`connector plan` and `connector alarms`: a month ahead, and what lags this week."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click

from connector.commands.common import account_option, chosen_account, local_time, opened, stamp
from connector.documents import russian
from connector.outlook import Ahead
from connector.planning.forecast import NoForecast
from connector.planning.reverse import MIN_WON, Needed
from connector.planning.words import OF_MANY, lag_line
from connector.playbook.fields import money as read_money
from connector.playbook.fields import month as read_month
from connector.store import alarms as kept
from connector.store import facts

_STEPS = {
    "won": "выигранных сделок",
    "with_invoice": "сделок со счётом",
    "with_meeting": "сделок со встречей",
    "with_call": "сделок с разговором",
    "leads": "заявок",
    "invoices": "счетов",
    "meetings": "встреч",
    "calls": "звонков",
}


def _option(read: Any) -> Any:
    def callback(_context: click.Context, _option: click.Parameter, value: str | None) -> Any:
        if value is None:
            return None
        try:
            return read(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


@click.command()
@click.option(
    "--revenue", callback=_option(read_money), help="Сколько нужно выиграть; без неё — план месяца."
)
@click.option("--month", callback=_option(read_month), help="Месяц: 2026-12; без него — следующий.")
@click.option("--post", is_flag=True, help="Поставить задачи маркетингу и кадрам, если чего-то не хватает.")
@click.option("--history", is_flag=True, help="Показать, как менялся план месяца.")
@click.option("--json", "as_json", is_flag=True, help="То же числами.")
@account_option
def plan(
    revenue: Decimal | None, month: date | None, post: bool, history: bool, as_json: bool, account: str | None
) -> None:
    """План месяца наоборот: от выручки к сделкам, счетам, встречам, звонкам и заявкам, и хватит ли сил."""
    with opened(offline=not post) as app:
        name = chosen_account(app, account, imported=not post)
        ahead = app.outlook.look(name, month, revenue)
        if history:
            _show_history(app, name, ahead.month)
            return
        if as_json:
            click.echo(json.dumps(_as_json(ahead), ensure_ascii=False, indent=2))
        else:
            click.echo("\n".join(_lines(ahead)))
        if post:
            posted = app.outlook.post(name, ahead)
            for request in posted:
                click.echo(f"Поставлена задача ({request.role}): {request.text.splitlines()[0]}")
            if not posted:
                click.echo("Новых задач нет: всего хватает, или они уже поставлены.")


@click.command()
@click.option("--snooze", type=int, metavar="НОМЕР", help="Не напоминать о сигнале …")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="… до этого дня.")
@account_option
def alarms(snooze: int | None, until: datetime | None, account: str | None) -> None:
    """Что отстаёт от плана на этой неделе, кого спросили и что ответили."""
    with opened(offline=True) as app:
        name = chosen_account(app, account, imported=True)
        if snooze is not None:
            if until is None:
                raise click.UsageError("до какого дня? Добавьте --until 2026-12-05")
            with app.db.begin() as conn:
                found = kept.by_id(conn, name, snooze)
                if found is None:
                    raise click.UsageError(f"сигнала {snooze} нет; номера показывает connector alarms")
                kept.snooze(conn, found, until.date())
            click.echo(f"О сигнале {snooze} не напоминаю до {until:%d.%m.%Y}.")
            return
        zone = local_time(app, name)
        with app.db.read() as conn:
            found_open = kept.still_open(conn, name)
            names = {user.id: user.name for user in facts.directory(conn, name).users.values()}
        if not found_open:
            click.echo("Всё идёт по плану: открытых сигналов нет.")
        for alarm in found_open:
            who = names.get(alarm.person, "отдел" if alarm.person == "all" else alarm.person)
            line = lag_line(alarm.kind, alarm.metric, who, alarm.detail)
            click.echo(f"{alarm.id}. {line}; с {stamp(alarm.opened_at, zone)}")
            if alarm.snoozed_until:
                click.echo(f"   не напоминать до {alarm.snoozed_until:%d.%m.%Y}")
            if alarm.answer is not None:
                click.echo(f"   ответ: {alarm.answer or 'без слов'}")


def _lines(ahead: Ahead) -> list[str]:
    lines = [f"План на {ahead.month:%m.%Y}: {_money(ahead.goal, ahead.currency)}"]
    first, last = ahead.cohort.start, ahead.cohort.end
    if ahead.needed is None:
        return [*lines, f"По сделкам с {first:%d.%m.%Y} ничего не выиграно: считать не по чему."]
    lines.append(
        f"По сделкам, созданным с {first:%d.%m.%Y} до {last:%d.%m.%Y}: заявок {ahead.needed.leads}, "
        f"выиграно {ahead.needed.won}, средний чек {_money(ahead.needed.avg_cheque, ahead.currency)}."
    )
    if not ahead.needed.is_known:
        lines.append(f"Выиграно меньше {MIN_WON}: числа ниже — прикидка без границ.")
    lines.append("Нужно за месяц:")
    lines += [_needed(step) for step in (*ahead.needed.steps, *ahead.needed.activities)]
    if ahead.feasible is not None:
        lines.append("Хватит ли сил:")
        for gap in ahead.feasible.gaps:
            what = OF_MANY[gap.what]
            enough = "хватает" if not gap.missing else f"не хватает {gap.missing}"
            heads = f", это {gap.heads} чел." if gap.heads else ""
            lines.append(f"  {what}: нужно {gap.needed}, обычно {gap.usual} — {enough}{heads}")
        lines += [f"    {c.name}: сейчас {c.usual}, нужно ещё {c.more}" for c in ahead.feasible.channels]
    made = ahead.forecast
    if isinstance(made, NoForecast):
        lines.append(f"Прогноз: истории мало (месяцев {made.months}, выигранных сделок {made.won}).")
    elif made is not None:
        chance = (
            "" if made.probability is None else f"; план выполнится с вероятностью {made.probability:.0%}"
        )
        span = f"от {_money(made.low, ahead.currency)} до {_money(made.high, ahead.currency)}"
        lines.append(f"Прогноз месяца: {_money(made.value, ahead.currency)} ({span}){chance}")
    return lines


def _needed(step: Needed) -> str:
    span = ""
    if step.low is not None and step.high is not None:
        span = f" (от {russian.number(step.low, 0)} до {russian.number(step.high, 0)})"
    return f"  {_STEPS[step.step]}: {step.whole}{span}"


def _money(amount: Decimal, currency: str) -> str:
    return russian.money(amount.quantize(Decimal(1)), currency).replace(",00", "", 1)


def _as_json(ahead: Ahead) -> dict[str, Any]:
    needed = ahead.needed
    made = None if ahead.forecast is None or isinstance(ahead.forecast, NoForecast) else ahead.forecast
    return {
        "month": f"{ahead.month:%Y-%m}",
        "goal": str(ahead.goal),
        "currency": ahead.currency,
        "needed": [] if needed is None else [_step(s) for s in (*needed.steps, *needed.activities)],
        "gaps": []
        if ahead.feasible is None
        else [
            {"what": g.what, "needed": g.needed, "usual": g.usual, "missing": g.missing, "heads": g.heads}
            for g in ahead.feasible.gaps
        ],
        "forecast": None
        if made is None
        else {
            "value": str(made.value),
            "low": str(made.low),
            "high": str(made.high),
            "months": made.months,
            "missed_by": made.missed_by,
            "probability": made.probability,
        },
    }


def _step(step: Needed) -> dict[str, Any]:
    low, high = (None if value is None else str(value) for value in (step.low, step.high))
    return {
        "step": step.step,
        "value": str(round(step.value, 2)),
        "whole": step.whole,
        "low": low,
        "high": high,
    }


def _show_history(app: Any, account: str, month: date) -> None:
    zone = local_time(app, account)
    with app.db.read() as conn:
        names = {user.id: user.name for user in facts.directory(conn, account).users.values()}
    rows = app.targets.history(account, month)
    if not rows:
        click.echo(f"План на {month:%m.%Y} ещё не записан: его запишет ближайшее утро.")
    for row in rows:
        who = names.get(row.manager_id, row.manager_id) if row.manager_id else "отдел"
        value = "снят" if row.value is None else russian.number(row.value, 2).removesuffix(",00")
        click.echo(f"{stamp(row.set_at, zone)}  {who}, {row.metric}: {value} ({row.source})")
