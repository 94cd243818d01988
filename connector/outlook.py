"""A month ahead: what a revenue asks for, whether people and leads suffice, what the open deals promise.

Requests to other departments leave as tasks, each with its arithmetic, once a month, department and number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from connector.clock import Clock
from connector.domain import Period
from connector.errors import ConfigError, Problem
from connector.figures.activity import daily_facts
from connector.figures.base import Facts
from connector.figures.cohort import cohort
from connector.figures.plan import IsWorking, month_start, next_month
from connector.figures.snapshot import Snapshots
from connector.figures.stats import NONE
from connector.history_import import Loaded
from connector.planning.feasible import NO_CHANNEL, PACE_MONTHS, Feasibility, feasibility
from connector.planning.forecast import Forecast, NoForecast, forecast
from connector.planning.past_months import snapshots
from connector.planning.requests import Request, requests
from connector.planning.reverse import ReverseFunnel, reverse
from connector.playbook.model import Playbook
from connector.store import facts as stored
from connector.store import outbox
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.targets import COHORT_DAYS, Targets

#: The rule's name of the tasks.
RULE = "План месяца"

#: What one person does, in the order of the sale.
BY_PERSON = ("calls", "meetings", "invoices")


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is known of a month. `needed` None: the past won too little to tell; `plan`: of the playbook.

    forecast: None for a month that has not begun. cohort: the deals that `needed` goes by, by creation.
    """

    month: date
    goal: Decimal
    plan: Decimal | None
    currency: str
    cohort: Period
    needed: ReverseFunnel | None
    feasible: Feasibility | None
    forecast: Forecast | NoForecast | None


class Outlook:
    """See the module."""

    def __init__(
        self,
        db: Database,
        queue: JobQueue,
        targets: Targets,
        playbook: Callable[[], Playbook],
        loaded: Callable[[str], Loaded | None],
        snapshots: Snapshots,
        clock: Clock,
    ) -> None:
        self._db = db
        self._queue = queue
        self._targets = targets
        self._playbook = playbook
        self._loaded = loaded
        self._snapshots = snapshots
        self._clock = clock

    def look(self, account: str, month: date | None = None, goal: Decimal | None = None) -> Ahead:
        """The month (by default the next one) with the revenue wanted (by default its plan).

        Raises ConfigError when there is neither a goal nor a plan.
        """
        loaded = self._loaded(account)
        with self._facts(account, loaded.as_of if loaded else self._clock.now()) as facts:
            month = month_start(month) if month else next_month(facts.last_day)
            plans = [p.value for p in self._targets.plans(facts, [month]) if p.metric == "revenue"]
            plan = sum(plans, Decimal(0)) if plans else None
            goal = goal if goal is not None else plan
            if goal is None:
                problem = f"на {month:%m.%Y} нет плана: впишите его в targets или задайте --revenue"
                raise ConfigError([Problem("targets", problem)])
            end = min(month, facts.last_day + timedelta(days=1))
            period = Period(end - timedelta(days=COHORT_DAYS), end)
            needed = reverse(goal, cohort(facts, period))
            is_working = facts.is_working_day if loaded else self._is_working()
            feasible = None if needed is None or not needed.is_known else self._feasible(facts, needed)
            made = None
            if month == month_start(facts.last_day):
                now, past = snapshots(facts, is_working)
                made = forecast(now, past, plan=goal)
            currency = facts.currency or "RUB"
            return Ahead(month, goal, plan, currency, period, needed, feasible, made)

    def post(self, account: str, ahead: Ahead) -> list[Request]:
        """Give the requests that the gaps make to the roles of the playbook; those that are new.

        A role that the playbook has not is the head of sales'.
        """
        roles = self._playbook().people.roles
        found = requests(ahead.month, ahead.goal, ahead.currency, ahead.needed, ahead.feasible)
        now = self._clock.now()
        posted = []
        for request in found:
            role = request.role if request.role in roles else "head_of_sales"
            if role not in roles:
                problem = f"некому дать задачу: в people нет роли {request.role}"
                raise ConfigError([Problem("people", problem)])
            due_at = now + timedelta(days=1)
            params = {"text": request.text, "due_at": due_at.isoformat(), "role": role}
            with self._db.begin() as conn:
                effect_id = outbox.add(
                    conn,
                    account=account,
                    key=f"request:{ahead.month}:{request.role}:{ahead.goal}",
                    rule=RULE,
                    action="person_task",
                    params=params,
                    deal_id=None,
                    now=now,
                )
                if effect_id is None:
                    continue
                self._queue.enqueue(
                    conn, "effect", {"effect_id": effect_id}, account=account, order_key=f"{account}:plan"
                )
            posted.append(request)
        return posted

    def _feasible(self, facts: Facts, needed: ReverseFunnel) -> Feasibility:
        months = _whole_months(facts.last_day + timedelta(days=1))
        leads: dict[str, list[int]] = {}
        done: dict[str, dict[str, list[int]]] = {metric: {} for metric in BY_PERSON}
        active = self._active(facts)
        for number, month in enumerate(months):
            period = Period(month, next_month(month))
            for deal in facts.created_in(period):
                name = (
                    NO_CHANNEL
                    if deal.channel == NONE
                    else facts.channel_names.get(deal.channel, deal.channel)
                )
                leads.setdefault(name, [0] * len(months))[number] += 1
            sums: dict[tuple[str, str], int] = {}
            for (person, metric, _), value in daily_facts(facts, period).items():
                if metric in done and person in active:
                    sums[person, metric] = sums.get((person, metric), 0) + int(value)
            # Somebody who did none of a thing in a month was away, or does not do it.
            for (person, metric), count in sums.items():
                if count:
                    done[metric].setdefault(person, []).append(count)
        return feasibility(needed, leads, done)

    @staticmethod
    def _active(facts: Facts) -> set[str]:
        users = stored.directory(facts.conn, facts.account).users
        return {user_id for user_id, user in users.items() if user.is_active and user_id != NONE}

    def _is_working(self) -> IsWorking:
        return self._playbook().working_calendar.is_working_day

    @contextmanager
    def _facts(self, account: str, moment: datetime) -> Iterator[Facts]:
        with self._db.read() as conn, self._snapshots.lazily(conn, account) as snapshot:
            row = stored.connected_account(conn, account)
            zone = ZoneInfo(row.timezone)
            midnight = datetime.combine(moment.astimezone(zone).date(), time(), zone)
            yield Facts(conn, account, zone, midnight, snapshot)


def _whole_months(today: date) -> list[date]:
    """First days of the last whole months before `today`, the newest first."""
    months, month = [], month_start(today)
    for _ in range(PACE_MONTHS):
        month = month_start(month - timedelta(days=1))
        months.append(month)
    return months
