"""Every working morning: is the week on its way, whom to ask what is wrong, and what came back.

The numbers are `planning.control`'s. An alarm is opened once a week, person and number, with a task that asks
for the reason; what the person writes into the task comes back as a fact. It closes by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.domain import Period
from connector.figures.activity import daily_facts
from connector.figures.base import Facts
from connector.figures.plan import days
from connector.figures.sales import ALL
from connector.figures.snapshot import Snapshots
from connector.figures.stats import NONE
from connector.figures.week import Agreed, agreed_meetings, contracts
from connector.planning.control import (
    MIN_AGREED,
    USUAL_SHOW_RATE,
    Signal,
    Standing,
    has_recovered,
    signals,
)
from connector.planning.words import question
from connector.playbook.calendar import WorkingCalendar
from connector.playbook.model import Playbook
from connector.store import alarms, outbox
from connector.store import facts as stored
from connector.store.alarms import Alarm
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue
from connector.targets import Targets

log = logging.getLogger(__name__)

#: How far back a person's own share of meetings that take place is looked for.
SHOW_RATE_DAYS = 90

#: Answers are looked for so long.
ANSWER_DAYS = 28

#: The rule's name of the tasks.
RULE = "Контроль плана"

#: Whose task it is when the whole department lags.
BOSS = "head_of_sales"


class DailyControl:
    """See the module."""

    def __init__(
        self,
        db: Database,
        queue: JobQueue,
        clients: Mapping[str, CrmClient],
        targets: Targets,
        playbook: Callable[[], Playbook],
        snapshots: Snapshots,
        clock: Clock,
    ) -> None:
        self._db = db
        self._queue = queue
        self._clients = clients
        self._targets = targets
        self._playbook = playbook
        self._snapshots = snapshots
        self._clock = clock

    def handle(self, job: Job) -> None:
        """Look at the account on the morning of the job's slot."""
        slot = datetime.fromisoformat(job.args["slot"])
        self.check(job.account, slot)

    def check(self, account: str, moment: datetime) -> list[Alarm]:
        """Open and close alarms as of the local midnight before `moment`; the new ones.

        On days off only the plan is written down. Raises ConfigError when the playbook names strangers.
        """
        with self._db.read() as conn, self._snapshots.lazily(conn, account) as snapshot:
            row = stored.connected_account(conn, account)
            zone = ZoneInfo(row.timezone)
            today = moment.astimezone(zone).date()
            facts = Facts(conn, account, zone, datetime.combine(today, time(), zone), snapshot)
            self._targets.record(facts)
            calendar = self._playbook().working_calendar
            if not calendar.is_working_day(today):
                return []
            monday = today - timedelta(days=today.weekday())
            standings = self.standings(facts, monday)
            users = facts.user_names
        left = [day for day in days(today, monday + timedelta(days=7)) if calendar.is_working_day(day)]
        found = _without_echo(signals(standings, left))
        return self._update(account, monday, found, {s.person: s for s in standings}, users, calendar, zone)

    def standings(self, facts: Facts, monday: date) -> list[Standing]:
        """How everybody with a plan, and all together, stand in the week of `monday` before `facts.as_of`."""
        week = Period(monday, monday + timedelta(days=7))
        until = facts.last_day + timedelta(days=1)
        planned: dict[tuple[str, str], Decimal] = {}
        due: dict[tuple[str, str], Decimal] = {}
        for month in sorted({monday.replace(day=1), (week.end - timedelta(days=1)).replace(day=1)}):
            plan = self._targets.month(facts, month)
            for (person, metric, day), value in (plan.atoms if plan else {}).items():
                if week.start <= day < week.end:
                    for key in ((person, metric), (ALL, metric)):
                        planned[key] = planned.get(key, Decimal(0)) + value
                        due[key] = due.get(key, Decimal(0)) + (value if day < until else 0)
        done: dict[tuple[str, str], Decimal] = {}
        for (person, metric, _), value in daily_facts(facts, week).items():
            for key in ((person, metric), (ALL, metric)):
                done[key] = done.get(key, Decimal(0)) + value
        for (person, _), count in contracts(facts, week).items():
            for key in ((person, "contracts"), (ALL, "contracts")):
                done[key] = done.get(key, Decimal(0)) + count
        agreed = _with_all(agreed_meetings(facts, week))
        before = _with_all(agreed_meetings(facts, Period(monday - timedelta(days=SHOW_RATE_DAYS), monday)))
        people = sorted({person for person, _ in planned if person != NONE})
        return [_standing(person, done, due, planned, agreed, before) for person in people]

    def collect_answers(self, account: str) -> int:
        """Look for what people wrote into our questions; how many answers came. Raises CrmError."""
        now = self._clock.now()
        with self._db.read() as conn:
            asked = alarms.unanswered(conn, account, (now - timedelta(days=ANSWER_DAYS)).date())
            tasks = {alarm.id: outbox.by_key(conn, account, alarm.ask_key) for alarm in asked}
        count = 0
        for alarm in asked:
            task = tasks[alarm.id]
            if task is None or "task_id" not in task.result:
                continue
            text = self._clients[account].task_answer(task.result["task_id"])
            if text is None:
                continue
            with self._db.begin() as conn:
                alarms.answer(conn, alarm, text, now)
            count += 1
        return count

    def _update(
        self,
        account: str,
        monday: date,
        found: Sequence[Signal],
        standings: Mapping[str, Standing],
        users: Mapping[str, str],
        calendar: WorkingCalendar,
        zone: ZoneInfo,
    ) -> list[Alarm]:
        now = self._clock.now()
        opened = []
        told = {(signal.kind, signal.person, signal.metric) for signal in found}
        with self._db.begin() as conn:
            for alarm in alarms.still_open(conn, account):
                if (alarm.kind, alarm.person, alarm.metric) in told and alarm.week == monday:
                    continue
                if alarm.week < monday:
                    alarms.close(conn, alarm, "week_over", now)
                elif _is_well(alarm, standings.get(alarm.person)):
                    alarms.close(conn, alarm, "recovered", now)
            for signal in found:
                alarm_or_none = alarms.open_or_update(
                    conn,
                    account=account,
                    week=monday,
                    kind=signal.kind,
                    person=signal.person,
                    metric=signal.metric,
                    detail=_detail(signal),
                    now=now,
                )
                if alarm_or_none is None:
                    continue
                opened.append(alarm_or_none)
                local = now.astimezone(zone).replace(tzinfo=None)
                due_at = calendar.add_working_time(local, calendar.day_length / 2).replace(tzinfo=zone)
                params = {
                    "text": question(signal, standings[signal.person], users.get(signal.person, "")),
                    "due_at": due_at.isoformat(),
                    **({"role": BOSS} if signal.person == ALL else {"user_id": signal.person}),
                }
                effect_id = outbox.add(
                    conn,
                    account=account,
                    key=alarm_or_none.ask_key,
                    rule=RULE,
                    action="person_task",
                    params=params,
                    deal_id=None,
                    now=now,
                )
                if effect_id is not None:
                    args = {"effect_id": effect_id}
                    self._queue.enqueue(conn, "effect", args, account=account, order_key=f"{account}:control")
        for alarm in opened:
            extra = {"action": "alarm_opened", "account": account, "metric": alarm.metric}
            log.info("a number lags", extra=extra)
        return opened


def _standing(
    person: str,
    done: Mapping[tuple[str, str], Decimal],
    due: Mapping[tuple[str, str], Decimal],
    planned: Mapping[tuple[str, str], Decimal],
    agreed: Mapping[str, Agreed],
    before: Mapping[str, Agreed],
) -> Standing:
    now, past = agreed.get(person, Agreed(0, 0)), before.get(person, Agreed(0, 0))
    rate = past.held / past.agreed if past.agreed >= MIN_AGREED else USUAL_SHOW_RATE
    mine_due = {metric: value for (who, metric), value in due.items() if who == person}
    mine_done = {metric: value for (who, metric), value in done.items() if who == person}
    if mine_due.get("meetings") and rate > 0:
        # So many must be agreed for as many as are planned to take place.
        mine_due["agreed"] = mine_due["meetings"] / Decimal(repr(round(rate, 6)))
        mine_done["agreed"] = Decimal(now.agreed)
    return Standing(
        person=person,
        done=mine_done,
        due=mine_due,
        planned={metric: value for (who, metric), value in planned.items() if who == person},
        agreed=now.agreed,
        held=now.held,
        show_rate=min(rate, 0.99),
    )


def _with_all(by_manager: Mapping[str, Agreed]) -> dict[str, Agreed]:
    total = Agreed(
        sum(one.agreed for one in by_manager.values()), sum(one.held for one in by_manager.values())
    )
    return {**by_manager, ALL: total}


def _without_echo(found: Sequence[Signal]) -> list[Signal]:
    """The department's signal is dropped where one person alone explains it: that person is asked."""
    people: dict[tuple[str, str], int] = {}
    for signal in found:
        if signal.person != ALL:
            key = (signal.kind, signal.metric)
            people[key] = people.get(key, 0) + 1
    return [s for s in found if s.person != ALL or people.get((s.kind, s.metric)) != 1]


def _is_well(alarm: Alarm, standing: Standing | None) -> bool:
    return standing is None or has_recovered(standing, alarm.metric, alarm.kind)  # type: ignore[arg-type]


def _detail(signal: Signal) -> dict[str, object]:
    return {
        "done": str(signal.done),
        "due": str(signal.due.quantize(Decimal("0.1"))),
        "planned": str(signal.planned),
        "chance": round(signal.chance, 6),
        "link": list(signal.link),
        "per_day": [[day.isoformat(), count] for day, count in signal.per_day],
    }
