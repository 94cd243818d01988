"""The playbook's targets as the plans that figures are measured against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from connector.domain import User
from connector.figures.plan import Plan, month_start
from connector.playbook.model import Playbook
from connector.playbook.targets import split_target


def plans_of(playbook: Playbook, months: Iterable[date], users: Sequence[User]) -> list[Plan]:
    """Revenue plans of the given months by manager; they add up to each target to the kopeck.

    A target without `split` is the department's alone: nobody is measured by a share that nobody agreed to.
    Raises ConfigError when `split` names somebody whom the CRM does not have.
    """
    plans = []
    for month in sorted({month_start(month) for month in months}):
        target = playbook.target_for(month)
        if target is None:
            continue
        shares = split_target(target, users) if target.split else {}
        if not shares:
            plans.append(Plan(None, month, "revenue", target.revenue))
        plans += [Plan(user_id, month, "revenue", value) for user_id, value in shares.items()]
    return plans
