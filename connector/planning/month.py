"""The playbook's target of one month as a decomposition over the people that the CRM has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from connector.domain import User
from connector.errors import ConfigError, Problem
from connector.figures.plan import IsWorking
from connector.planning import decompose as parts
from connector.planning.decompose import DEFAULT_RAMP, Decomposition, decompose
from connector.playbook.model import Playbook, Target
from connector.playbook.people import find_user
from connector.playbook.words import unknown


def month_plan(
    playbook: Playbook,
    month: date,
    users: Sequence[User],
    is_working: IsWorking,
    needed: Mapping[str, Decimal] | None = None,
) -> Decomposition | None:
    """What each person has to do on each working day of the month; None when it has no target.

    needed: numbers by metric that the department's funnel asks for, for a target with `kpi: funnel`; None
    while there is no history to tell. Without `split` all stands under `(none)`: nobody is measured by a
    share that nobody agreed to. Raises ConfigError when `split` or `staff` names somebody whom the CRM does
    not have.
    """
    target = playbook.target_for(month)
    if target is None:
        return None
    people = sellers(playbook, target, users)
    return decompose(month, totals(target, needed), people, is_working)


def totals(target: Target, needed: Mapping[str, Decimal] | None) -> dict[str, Decimal]:
    """Metric -> what the whole department has to reach, in the order of the sale."""
    numbers: dict[str, Decimal] = {}
    if target.kpi == "funnel":
        numbers.update(needed or {})
    elif target.kpi is not None:
        numbers.update((name, value) for name, value in target.kpi.model_dump().items() if value is not None)
    numbers["revenue"] = target.revenue
    return {metric: numbers[metric] for metric in parts.TARGET_METRICS if metric in numbers}


def sellers(playbook: Playbook, target: Target, users: Sequence[User]) -> list[parts.Seller]:
    """The people of the target's `split` with what `staff` says of them; raises ConfigError (see above)."""
    problems = []
    staff: dict[str, parts.Seller] = {}
    for entry in playbook.staff:
        user = find_user(entry.user, users)
        if user is None:
            problems.append(_nobody("сотрудники", entry.user, entry.place_of("user"), users))
            continue
        ramp = (DEFAULT_RAMP if entry.since else ()) if entry.ramp is None else entry.ramp
        staff[user.id] = parts.Seller(user.id, Decimal(1), entry.vacation, entry.since, entry.until, ramp)
    found: dict[str, parts.Seller] = {}
    for name, weight in target.split.items():
        user = find_user(name, users)
        if user is None:
            problems.append(_nobody("план", name, target.place_of("split", name), users))
            continue
        known = staff.get(user.id, parts.Seller(user.id, Decimal(1)))
        before = found[user.id].weight if user.id in found else Decimal(0)
        found[user.id] = parts.Seller(
            user.id, before + weight, known.absences, known.since, known.until, known.ramp
        )
    if problems:
        raise ConfigError(problems)
    return list(found.values())


def _nobody(section: str, name: str, place: str, users: Sequence[User]) -> Problem:
    return Problem(place, unknown(f"{section}: в CRM нет пользователя", name, (user.name for user in users)))
