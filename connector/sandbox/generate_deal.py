"""The life of one invented deal: its way over the stages and what people did on the way.

Writes rows into a `History`; everything at or after `as_of` has not happened yet, so a deal whose next step
lies there stays open. Chances and spans are those of a small company that sells equipment to offices.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from connector.sandbox.history_tables import (
    LOST_STAGE,
    WON_STAGE,
    CallRow,
    DealRow,
    History,
    InvoiceRow,
    MeetingRow,
    MessageRow,
    TaskRow,
    TransitionRow,
)

MEETING_SET = 23
INVOICED = frozenset((26, 33))

#: stage -> (days in it: median, chance to go on, weights of the loss reasons when it ends there)
_STEPS: dict[int, tuple[float, float, tuple[int, ...]]] = {
    21: (0.25, 0.80, (2, 1, 8, 1, 1, 6, 0)),
    22: (1.6, 0.62, (5, 2, 6, 4, 4, 5, 1)),
    23: (2.6, 0.72, (2, 3, 8, 5, 2, 1, 1)),
    24: (2.6, 0.70, (8, 6, 2, 5, 4, 0, 3)),
    25: (3.4, 0.74, (6, 6, 3, 4, 3, 0, 4)),
    26: (2.6, 0.82, (3, 2, 5, 4, 5, 0, 2)),
    31: (1.4, 0.85, (4, 2, 4, 5, 2, 0, 1)),
    32: (2.5, 0.85, (6, 3, 3, 4, 3, 0, 1)),
    33: (2.0, 0.93, (3, 1, 4, 3, 4, 0, 1)),
}  # fmt: skip
_WAY = {1: (21, 22, 23, 24, 25, 26), 2: (31, 32, 33)}


@dataclass(frozen=True, slots=True)
class Enquiry:
    """How a deal begins. `waits_in`: it goes straight to that stage and waits there, with a price."""

    at: datetime
    pipeline_id: int
    name: str
    manager_id: int | None
    channel_id: str | None
    utm: tuple[str, str, str]
    quality: float
    by_phone: bool = False
    waits_in: int | None = None


@dataclass(frozen=True, slots=True)
class WorkingTime:
    """Mon-Fri 9-18 in the department's zone, without holidays."""

    zone: ZoneInfo
    holidays: frozenset[date]

    def is_working_day(self, day: date) -> bool:
        return day.weekday() < 5 and day not in self.holidays

    def at_work(self, moment: datetime, rng: random.Random) -> datetime:
        """`moment` itself in working hours, else some minutes into the next working morning."""
        local = moment.astimezone(self.zone)
        if self.is_working_day(local.date()) and 9 <= local.hour < 18:
            return moment
        day = local.date() if local.hour < 9 else local.date() + timedelta(days=1)
        while not self.is_working_day(day):
            day += timedelta(days=1)
        minutes = min(rng.lognormvariate(3.4, 1.0), 500)
        morning = datetime.combine(day, time(9), self.zone) + timedelta(minutes=minutes)
        return morning.astimezone(moment.tzinfo).replace(microsecond=0)


class Life:
    """Lets deals live and writes down what happened. `finish` sorts and numbers the rows."""

    def __init__(
        self,
        history: History,
        working: WorkingTime,
        as_of: datetime,
        rng: random.Random,
        *,
        skills: Mapping[int, float],
    ) -> None:
        self._history = history
        self._working = working
        self._as_of = as_of
        self._rng = rng
        self._skills = skills

    def live(self, deal_id: int, enquiry: Enquiry) -> None:
        """Add the deal and all its rows."""
        rng = self._rng
        price = self._price(enquiry)
        visit = _Visit(deal_id, enquiry, price, enquiry.at)
        way = _WAY[enquiry.pipeline_id]
        self._move(visit, None, way[0], enquiry.at, None if not enquiry.by_phone else enquiry.manager_id)
        self._first_touch(visit)
        if enquiry.by_phone:
            # The robot moves a phone enquiry on in the very second.
            self._move(visit, way[0], way[1], enquiry.at, None)
        if enquiry.waits_in is not None:
            self._go_straight(visit, way, enquiry.waits_in)
        else:
            self._walk(visit, way)
            self._after_close(visit, way)
        self._history.deals.append(self._deal_row(visit, rng))

    def finish(self) -> None:
        """Give the activities their ids in the order of time."""
        history = self._history
        history.transitions.sort(key=lambda row: (row.at, row.event_id))
        history.transitions[:] = [
            row._replace(event_id=number) for number, row in enumerate(history.transitions, 1)
        ]
        history.calls.sort(key=lambda row: row.at)
        history.calls[:] = [row._replace(call_id=n) for n, row in enumerate(history.calls, 1)]
        history.messages.sort(key=lambda row: row.at)
        history.messages[:] = [row._replace(message_id=n) for n, row in enumerate(history.messages, 1)]

    def _price(self, enquiry: Enquiry) -> Decimal | None:
        rng = self._rng
        chance = rng.random()
        if enquiry.waits_in is not None:
            return Decimal(186_500)
        if chance < 0.03:
            return Decimal(0)
        if chance < 0.05:
            return None
        median = 12.25 if enquiry.pipeline_id == 1 else 11.2
        amount = Decimal(round(min(rng.lognormvariate(median, 0.75), 4_000_000) / 500) * 500 or 500)
        return amount + Decimal(rng.randrange(1, 100)) / 100 if chance > 0.96 else amount

    def _go_straight(self, visit: _Visit, way: tuple[int, ...], target: int) -> None:
        """One stage a working day; the last step ends the last working hour, so that no deal moved later."""
        last = self._as_of - timedelta(hours=6)
        for stage in way[1 : way.index(target) + 1]:
            at = min(self._working.at_work(visit.at + timedelta(days=1), self._rng), last)
            self._busy(visit, at)
            self._move(visit, visit.stage, stage, last if stage == target else at, visit.enquiry.manager_id)
        self._busy(visit, self._as_of + timedelta(days=1))

    def _walk(self, visit: _Visit, way: tuple[int, ...]) -> None:
        rng = self._rng
        skill = self._skills.get(visit.enquiry.manager_id or 0, 0.6) * visit.enquiry.quality
        went_back = False
        while visit.stage in way:
            place = way.index(visit.stage)
            median, chance, reasons = _STEPS[visit.stage]
            span = timedelta(days=median * rng.lognormvariate(0, 0.8))
            at = self._working.at_work((visit.at + span).replace(microsecond=0), rng)
            self._busy(visit, at)
            if at >= self._as_of:
                return
            manager = visit.enquiry.manager_id
            if rng.random() < 1 - (1 - chance) / max(skill, 0.35):
                if place >= 2 and not went_back and rng.random() < 0.035:
                    went_back = True
                    self._move(visit, visit.stage, way[place - 1], at, manager)
                    continue
                step = 2 if rng.random() < 0.05 and place + 2 < len(way) else 1
                target = way[place + step] if place + step < len(way) else WON_STAGE
                self._leave(visit, at, is_won=target == WON_STAGE)
                self._move(visit, visit.stage, target, at, manager)
            else:
                self._leave(visit, at, is_won=False)
                silent = rng.random() < 0.28
                visit.reason = None if silent else rng.choices(range(1, 8), reasons)[0]
                self._move(visit, visit.stage, LOST_STAGE, at, manager)

    def _after_close(self, visit: _Visit, way: tuple[int, ...]) -> None:
        """A few closed deals come back to life; a few of these are won in the end."""
        rng = self._rng
        if visit.closed_at is None or rng.random() > 0.025:
            return
        at = self._working.at_work(visit.closed_at + timedelta(days=rng.uniform(3, 40)), rng)
        at = at.replace(microsecond=0)
        if at >= self._as_of:
            return
        back_to = way[-1] if visit.stage == WON_STAGE else way[1]
        self._move(visit, visit.stage, back_to, at, visit.enquiry.manager_id)
        visit.reason = None
        self._walk(visit, way)

    def _move(
        self, visit: _Visit, from_stage: int | None, to_stage: int, at: datetime, by: int | None
    ) -> None:
        visit.stage, visit.at = to_stage, at
        visit.closed_at = at if to_stage in (WON_STAGE, LOST_STAGE) else None
        rows = self._history.transitions
        rows.append(
            TransitionRow(len(rows), visit.deal_id, visit.enquiry.pipeline_id, at, from_stage, to_stage, by)
        )

    def _first_touch(self, visit: _Visit) -> None:
        enquiry = visit.enquiry
        if enquiry.by_phone:
            self._call(visit, enquiry.at - timedelta(seconds=self._rng.randrange(0, 60)), "in", answered=True)
            return
        wait = timedelta(minutes=self._rng.lognormvariate(2.9, 1.1))
        at = self._working.at_work((enquiry.at + wait).replace(microsecond=0), self._rng)
        # One enquiry in twenty is forgotten.
        if self._rng.random() < 0.05:
            return
        if self._rng.random() < 0.2:
            self._message(visit, at, "out")
        else:
            self._call(visit, at, "out", answered=self._rng.random() < 0.7)

    def _busy(self, visit: _Visit, until: datetime) -> None:
        """Calls, letters and the task of one stay in a stage."""
        rng = self._rng
        span = (until - visit.at).total_seconds()
        for _ in range(min(int(rng.expovariate(0.75)), 6)):
            at = self._working.at_work(visit.at + timedelta(seconds=int(rng.uniform(0, span))), rng)
            if at < until:
                self._call(visit, at, "in" if rng.random() < 0.25 else "out", answered=rng.random() < 0.68)
        for _ in range(min(int(rng.expovariate(1.1)), 5)):
            at = self._working.at_work(visit.at + timedelta(seconds=int(rng.uniform(0, span))), rng)
            if at < until:
                self._message(visit, at, "in" if rng.random() < 0.45 else "out")
        due = self._working.at_work(
            (visit.at + timedelta(days=rng.uniform(0.2, 2.5))).replace(microsecond=0), rng
        )
        done = self._working.at_work(due + timedelta(hours=int(rng.gauss(-2, 14))), rng)
        done = max(done, visit.at + timedelta(minutes=5))
        rows = self._history.tasks
        is_done = done < min(until, self._as_of) or until < self._as_of
        completed = min(done, until, self._as_of - timedelta(seconds=1)) if is_done else None
        rows.append(TaskRow(len(rows) + 1, visit.deal_id, visit.enquiry.manager_id, visit.at, due, completed))
        if visit.stage == MEETING_SET:
            self._plan_meeting(visit, until)
        if visit.stage in INVOICED:
            self._issue_invoice(visit)

    def _plan_meeting(self, visit: _Visit, until: datetime) -> None:
        planned = self._working.at_work(until - timedelta(hours=1), self._rng)
        planned = max(planned.replace(minute=0, second=0), visit.at)
        visit.meeting = len(self._history.meetings)
        self._history.meetings.append(
            MeetingRow(
                visit.meeting + 1, visit.deal_id, visit.enquiry.manager_id, visit.at, planned, None, "planned"
            )
        )

    def _issue_invoice(self, visit: _Visit) -> None:
        if visit.invoice is None and visit.price:
            visit.invoice = len(self._history.invoices)
            self._history.invoices.append(
                InvoiceRow(
                    visit.invoice + 1,
                    visit.deal_id,
                    visit.enquiry.manager_id,
                    visit.at,
                    visit.price,
                    "issued",
                    None,
                )
            )

    def _leave(self, visit: _Visit, at: datetime, *, is_won: bool) -> None:
        """What leaving a stage settles: the meeting was held or not, the invoice paid or withdrawn."""
        if visit.stage == MEETING_SET and visit.meeting is not None:
            row = self._history.meetings[visit.meeting]
            is_held = self._rng.random() >= 0.12
            held = max(row.created_at, at - timedelta(minutes=20)) if is_held else None
            self._history.meetings[visit.meeting] = row._replace(
                status="held" if is_held else "cancelled", held_at=held
            )
            visit.meeting = None
        if visit.stage in INVOICED and visit.invoice is not None:
            invoice = self._history.invoices[visit.invoice]
            if is_won:
                paid = max(invoice.issued_at, at - timedelta(minutes=self._rng.randrange(5, 300)))
                self._history.invoices[visit.invoice] = invoice._replace(status="paid", paid_at=paid)
            elif self._rng.random() < 0.7:
                self._history.invoices[visit.invoice] = invoice._replace(status="cancelled")
            visit.invoice = None

    def _call(self, visit: _Visit, at: datetime, direction: str, *, answered: bool) -> None:
        if at < self._as_of:
            duration = int(self._rng.lognormvariate(4.9, 0.8)) if answered else 0
            rows = self._history.calls
            rows.append(
                CallRow(len(rows), visit.deal_id, visit.enquiry.manager_id, at, direction, answered, duration)
            )

    def _message(self, visit: _Visit, at: datetime, direction: str) -> None:
        if at < self._as_of:
            rows = self._history.messages
            rows.append(MessageRow(len(rows), visit.deal_id, visit.enquiry.manager_id, at, direction))

    def _deal_row(self, visit: _Visit, rng: random.Random) -> DealRow:
        enquiry = visit.enquiry
        deleted_at = None
        if (
            visit.closed_at is None and enquiry.waits_in is None and rng.random() < 0.15
        ) or rng.random() < 0.006:
            deleted_at = min(
                visit.at + timedelta(hours=rng.uniform(1, 60)), self._as_of - timedelta(minutes=1)
            )
        return DealRow(
            visit.deal_id,
            enquiry.name,
            enquiry.pipeline_id,
            visit.stage,
            enquiry.manager_id,
            enquiry.channel_id,
            *enquiry.utm,
            visit.price,
            enquiry.at,
            visit.closed_at,
            visit.reason,
            deleted_at is not None,
            deleted_at.replace(microsecond=0) if deleted_at else None,
        )


@dataclass(slots=True)
class _Visit:
    """Where the deal stands while it is being told."""

    deal_id: int
    enquiry: Enquiry
    price: Decimal | None
    at: datetime
    stage: int = 0
    closed_at: datetime | None = None
    reason: int | None = None
    meeting: int | None = None
    invoice: int | None = None
