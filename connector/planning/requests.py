"""What the plan asks of marketing and of HR, as texts with their arithmetic. Russian, pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from connector.documents import russian
from connector.planning.feasible import Feasibility
from connector.planning.reverse import ReverseFunnel
from connector.planning.words import OF_MANY

_MONTHS = (
    *("январь", "февраль", "март", "апрель", "май", "июнь"),
    *("июль", "август", "сентябрь", "октябрь", "ноябрь", "декабрь"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A task for a role of the playbook (`marketing`, `hr`)."""

    role: str
    text: str


def requests(
    month: date,
    goal: Decimal,
    currency: str,
    needed: ReverseFunnel | None,
    feasible: Feasibility | None,
) -> list[Request]:
    """What has to be asked for; nothing where nothing is missing or the past cannot tell."""
    if needed is None or feasible is None:
        return []
    when = f"{_MONTHS[month.month - 1]} {month.year}"
    money = russian.money(goal, currency).replace(",00", "", 1)
    found = []
    leads = next((gap for gap in feasible.gaps if gap.what == "leads"), None)
    if leads is not None and leads.missing:
        share = Decimal(needed.won) / needed.leads * 100
        lines = [
            f"Заявки на {when}: не хватает {leads.missing}",
            f"План продаж — {money}. При среднем чеке {_money(needed.avg_cheque, currency)} это "
            f"{_whole(needed, 'won')} выигранных сделок.",
            f"Из ста заявок выигрываем {russian.number(share, 1)}, значит нужно заявок: {leads.needed}. "
            f"Сейчас в месяц приходит {leads.usual}.",
        ]
        if feasible.channels:
            lines.append("Если прибавлять в той же пропорции, в которой заявки приходят сейчас:")
            lines += [f"• {c.name}: сейчас {c.usual}, нужно ещё {c.more}" for c in feasible.channels]
        lines.append("Ответьте, сколько и из каких каналов сможете дать.")
        found.append(Request("marketing", "\n".join(lines)))
    short = [gap for gap in feasible.gaps if gap.heads]
    if short:
        lines = [
            f"Люди на {when}: не хватает менеджеров — {feasible.heads}",
            f"План продаж — {money}. Чтобы его выполнить, отделу нужно за месяц:",
        ]
        for gap in short:
            lines.append(
                f"• {OF_MANY[gap.what]}: {gap.needed}; нынешние люди делают {gap.usual}, "
                f"один менеджер — {russian.number(gap.per_head or Decimal(0), 0)}. Не хватает {gap.missing}"
            )
        lines.append("Новичок выходит на полную силу на четвёртый месяц: выводить нужно заранее.")
        found.append(Request("hr", "\n".join(lines)))
    return found


def _money(amount: Decimal, currency: str) -> str:
    return russian.money(amount.quantize(Decimal(1)), currency).replace(",00", "", 1)


def _whole(needed: ReverseFunnel, step: str) -> int:
    found = needed.step(step)
    return found.whole if found else 0
