"""How control speaks to people: which number lags, where the chain broke, what to do a day. Russian, pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connector.figures.sales import ALL
from connector.planning.control import Signal, Standing

#: What people call a number at the head of a line.
TITLES = {
    "leads": "Заявки",
    "calls": "Звонки",
    "agreed": "Назначенные встречи",
    "meetings": "Встречи",
    "contracts": "Договоры",
    "invoices": "Счета",
    "won": "Сделки",
}

#: The same in the genitive: «мало звонков».
OF_MANY = {
    "leads": "заявок",
    "calls": "звонков",
    "agreed": "назначенных встреч",
    "meetings": "встреч",
    "contracts": "договоров",
    "invoices": "счетов",
    "won": "выигранных сделок",
}

#: One of them, as a link of a chain: «звонок → встреча».
LINKS = {
    "leads": "заявка",
    "calls": "звонок",
    "agreed": "назначенная встреча",
    "meetings": "встреча",
    "contracts": "договор",
    "invoices": "счёт",
    "won": "сделка",
}

_DAYS = ("пн", "вт", "ср", "чт", "пт", "сб", "вс")


def number(value: Decimal) -> str:
    """«12», «12,5»."""
    rounded = value.quantize(Decimal("0.1"))
    return f"{rounded.normalize():f}".replace(".", ",")


def headline(signal: Signal) -> str:
    """«Встречи: 3, а к сегодняшнему дню нужно 12 (план недели 20)»"""
    if signal.kind == "no_shows":
        return f"Встречи срываются: из {int(signal.due)} назначенных состоялось {int(signal.done)}"
    return (
        f"{TITLES[signal.metric]}: {number(signal.done)}, а к сегодняшнему дню нужно {number(signal.due)} "
        f"(план недели {number(signal.planned)})"
    )


def lag_line(kind: str, metric: str, who: str, detail: Mapping[str, Any]) -> str:
    """An alarm on one line: «Встречи — Анна: 3 из 12 к этому дню, план недели 20»."""
    done, due = number(Decimal(detail["done"])), number(Decimal(detail["due"]))
    if kind == "no_shows":
        return f"Встречи срываются — {who}: из {due} назначенных состоялось {done}"
    planned = number(Decimal(detail["planned"]))
    return f"{TITLES[metric]} — {who}: {done} из {due} к этому дню, план недели {planned}"


def cause(signal: Signal, standing: Standing) -> str:
    """Where the chain broke, as one sentence."""
    first, second = signal.link
    if signal.kind == "no_shows":
        usual = round(standing.show_rate * 100)
        return f"Обычно состоится около {usual} % назначенных встреч: рвётся подтверждение перед встречей."
    if first == second:
        if first == signal.metric:
            return "По числам причина не видна."
        return f"Начинается раньше: мало {OF_MANY[first]} — {_of(standing, first)}."
    return (
        f"{TITLES[first]} идут по плану ({_of(standing, first)}), "
        f"рвётся связка «{LINKS[first]} → {LINKS[second]}»."
    )


def catch_up(signal: Signal) -> str:
    """«Чтобы догнать до конца недели: чт 9, пт 8.»; "" when the week is over or nothing is missing."""
    days = [f"{_DAYS[day.weekday()]} {count}" for day, count in signal.per_day if count]
    return f"Чтобы догнать до конца недели: {', '.join(days)}." if days else ""


def question(signal: Signal, standing: Standing, name: str) -> str:
    """The text of the task that asks for the reason; its first line says what is the matter."""
    who = "отдел" if signal.person == ALL else name
    head = headline(signal)
    lines = [
        f"{head} — {who}" if who else head,
        cause(signal, standing),
        catch_up(signal),
        "Напишите в результате задачи, в чём причина, и закройте её: ответ попадёт в отчёт.",
    ]
    return "\n".join(line for line in lines if line)


def _of(standing: Standing, metric: str) -> str:
    done = standing.done.get(metric, Decimal(0))
    return f"{number(done)} из {number(standing.due[metric])}"
