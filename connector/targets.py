"""What each month was planned to bring: the playbook's targets, what was set elsewhere, each change kept.

A month that is over keeps the plan that stood at its end, whatever the playbook says today. Numbers that
follow from the funnel are reckoned once a month, and again when the month's revenue target changes: a plan
that moves by itself is no plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal

from connector.clock import Clock
from connector.domain import Period
from connector.figures.base import Facts
from connector.figures.cohort import cohort
from connector.figures.plan import Plan, month_start, next_month
from connector.history_import import Loaded
from connector.planning.decompose import Decomposition, Seller, decompose
from connector.planning.month import month_plan, sellers, totals
from connector.planning.reverse import reverse
from connector.playbook.model import Playbook, Target
from connector.store import facts as stored
from connector.store import plans as kept
from connector.store.database import Database
from connector.store.plans import PlanRow

#: Deals of so many days before the month tell what its revenue asks for.
COHORT_DAYS = 180


class Targets:
    """See the module."""

    def __init__(
        self,
        db: Database,
        playbook: Callable[[], Playbook],
        loaded: Callable[[str], Loaded | None],
        clock: Clock,
    ) -> None:
        self._db = db
        self._playbook = playbook
        self._loaded = loaded
        self._clock = clock

    def plans(self, facts: Facts, months: Iterable[date]) -> list[Plan]:
        """The plans of the months by manager and metric; raises ConfigError on people unknown to the CRM."""
        return [
            plan for month in sorted({month_start(m) for m in months}) for plan in self._plans(facts, month)
        ]

    def month(self, facts: Facts, month: date) -> Decomposition | None:
        """The month's plan on each working day; None when it has none. Raises ConfigError as `plans` does.

        Plans that were set for people elsewhere than in the playbook are spread over the working days of
        those people.
        """
        month = month_start(month)
        plans = self._plans(facts, month)
        if not plans:
            return None
        playbook = self._playbook()
        target = playbook.target_for(month)
        known = {} if target is None else {s.user_id: s for s in self._sellers(facts, playbook, target)}
        shares: dict[tuple[str, str], Decimal] = {}
        atoms: dict[tuple[str, str, date], Decimal] = {}
        for plan in plans:
            people = [known[plan.manager]] if plan.manager in known else []
            of_one = decompose(
                month, {plan.metric: plan.value}, people, playbook.working_calendar.is_working_day
            )
            shares[plan.manager, plan.metric] = plan.value
            atoms.update(
                ((plan.manager, metric, day), value) for (_, metric, day), value in of_one.atoms.items()
            )
        return Decomposition(month, shares, atoms)

    def of_day(self, facts: Facts, day: date) -> dict[tuple[str, str], Decimal]:
        """(person, metric) -> what that day asks for. Raises ConfigError as `plans` does."""
        plan = self.month(facts, day)
        atoms = plan.atoms if plan else {}
        return {(person, metric): value for (person, metric, on), value in atoms.items() if on == day}

    def record(self, facts: Facts) -> int:
        """Write down what the playbook says of this month and the next, where it differs; how many changes.

        Raises ConfigError as `plans` does.
        """
        changed = 0
        for month in (month_start(facts.last_day), next_month(facts.last_day)):
            if _is_foreign(kept.current(facts.conn, facts.account, month).values()):
                continue
            # Reckoned before the store is taken for writing: a cohort of half a year takes its time.
            planned = self._planned(facts, month)
            plans = {(plan.manager_id or "", plan.metric): plan.value for plan in planned}
            with self._db.begin() as conn:
                changed += kept.record(conn, facts.account, month, plans, "playbook", self._clock.now())
        return changed

    def history(self, account: str, month: date) -> list[PlanRow]:
        """Every setting of the month's plans, the oldest first."""
        with self._db.read() as conn:
            return kept.history(conn, account, month_start(month))

    def _plans(self, facts: Facts, month: date) -> list[Plan]:
        rows = kept.current(facts.conn, facts.account, month)
        if rows and (month < month_start(facts.last_day) or _is_foreign(rows.values())):
            return [
                Plan(manager_id or None, month, metric, row.value)
                for (manager_id, metric), row in rows.items()
                if row.value is not None
            ]
        return self._planned(facts, month)

    def _planned(self, facts: Facts, month: date) -> list[Plan]:
        """What the playbook says of the month; nothing where history files alone speak."""
        if self._loaded(facts.account) is not None:
            return []
        playbook = self._playbook()
        target = playbook.target_for(month)
        if target is None:
            return []
        needed = self._needed(facts, month, target) if target.kpi == "funnel" else None
        users = list(stored.directory(facts.conn, facts.account).users.values())
        if not target.split:
            return [Plan(None, month, metric, value) for metric, value in totals(target, needed).items()]
        found = month_plan(playbook, month, users, playbook.working_calendar.is_working_day, needed)
        return [] if found is None else found.plans()

    def _needed(self, facts: Facts, month: date, target: Target) -> Mapping[str, Decimal]:
        before = kept.current(facts.conn, facts.account, month)
        sums: dict[str, Decimal] = {}
        for (_, metric), row in before.items():
            sums[metric] = sums.get(metric, Decimal(0)) + (row.value or Decimal(0))
        if len(sums) > 1 and sums.get("revenue") == target.revenue:
            return sums
        end = min(month, facts.last_day + timedelta(days=1))
        found = reverse(target.revenue, cohort(facts, Period(end - timedelta(days=COHORT_DAYS), end)))
        return {} if found is None or not found.is_known else found.targets()

    @staticmethod
    def _sellers(facts: Facts, playbook: Playbook, target: Target) -> list[Seller]:
        users = list(stored.directory(facts.conn, facts.account).users.values())
        return sellers(playbook, target, users)


def _is_foreign(rows: Iterable[PlanRow]) -> bool:
    """Whether the month's plan was set elsewhere than in the playbook."""
    return any(row.source != "playbook" for row in rows)
