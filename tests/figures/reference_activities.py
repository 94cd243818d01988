"""What the definitions say of calls, meetings and the rest, written plainly once more; see `reference`."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from fractions import Fraction

from tests.figures.reference import Reference, Rows, _middle, _tenth

Table = list[dict[str, str]]
MINUTES = timedelta(minutes=5)


class ActivityReference(Reference):
    """`activities` are tables of the history format by name; `qualified` and `key` are (pipeline, stage)."""

    metrics = (
        *("leads", "calls", "calls_answered", "meetings", "invoices", "invoices_amount", "paid_amount"),
        *("tasks_done", "won", "revenue"),
    )

    def __init__(
        self,
        *args: object,
        activities: dict[str, Table],
        qualified: set[tuple[str, str]],
        key: set[tuple[str, str]],
    ) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        gone = {d["deal_id"] for d in self.every if d["is_deleted"] == "1"}
        self.tables = {
            name: [row for row in rows if row["deal_id"] not in gone] for name, rows in activities.items()
        }
        self.qualified, self.key = qualified, key

    def before(self, text: str) -> bool:
        return bool(text) and datetime.fromisoformat(text) < self.as_of

    def fact(self, manager: str, metric: str, start: date, end: date) -> Fraction:
        if metric in ("leads", "won", "revenue"):
            return super().fact(manager, metric, start, end)
        table, moment = {
            "calls": ("calls", "at"),
            "calls_answered": ("calls", "at"),
            "meetings": ("meetings", "held_at"),
            "invoices": ("invoices", "issued_at"),
            "invoices_amount": ("invoices", "issued_at"),
            "paid_amount": ("invoices", "paid_at"),
            "tasks_done": ("tasks", "completed_at"),
        }[metric]
        rows = []
        for row in self.tables[table]:
            if manager not in ("all", row["manager_id"] or "(none)"):
                continue
            if not self.before(row[moment]) or not self.inside(row[moment], start, end):
                continue
            if metric == "calls_answered" and row["answered"] != "1":
                continue
            if metric == "meetings" and row["status"] != "held":
                continue
            if metric in ("invoices", "invoices_amount") and row["status"] == "cancelled":
                continue
            rows.append(row)
        if metric.endswith("amount"):
            return sum((Fraction(row["amount"] or "0") for row in rows), Fraction(0))
        return Fraction(len(rows))

    def lead_quality(self, start: date, end: date, column: str) -> Rows:
        groups: dict[str, Table] = {}
        for deal in self.deals:
            if self.before(deal["created_at"]) and self.inside(deal["created_at"], start, end):
                text = deal[column].strip().lower() if column == "utm_source" else deal[column]
                groups.setdefault(text or "(none)", []).append(deal)
        return {(key,): self._quality(deals) for key, deals in groups.items()}

    def _quality(self, deals: Table) -> tuple[object, ...]:
        spans, worked = [], []
        for deal in deals:
            created = datetime.fromisoformat(deal["created_at"])
            touches = [
                at
                for name in ("calls", "messages")
                for row in self.tables[name]
                if row["deal_id"] == deal["deal_id"]
                and (row["direction"] == "out" or (name == "calls" and row["answered"] == "1"))
                and created - MINUTES <= (at := datetime.fromisoformat(row["at"])) < self.as_of
            ]
            if touches:
                spans.append(max((min(touches) - created).total_seconds(), 0))
                worked.append(self._worked(created, min(touches)))
        qualified = sum(self._got(deal, self.qualified) for deal in deals)
        at_key = sum(self._got(deal, self.key) for deal in deals)
        won = [deal for deal in deals if self.state(deal) == "won"]
        revenue = sum((Fraction(deal["price"] or "0") for deal in won), Fraction(0))
        leads = len(deals)
        return (
            *(leads, len(spans), _middle(spans), _tenth(spans), _middle(worked)),
            *(qualified, Fraction(qualified, leads), at_key, Fraction(at_key, leads), len(won), revenue),
        )

    def _worked(self, start: datetime, end: datetime) -> int:
        """Second by second in steps of one, by the wall clock of the account."""
        seconds = 0
        utc = datetime.fromisoformat("1970-01-01T00:00:00+00:00").tzinfo
        moment = start
        while moment < end:
            local = moment.replace(tzinfo=utc).astimezone(self.zone)
            works = local.isoweekday() <= 5 and 9 <= local.hour < 18
            # Hours begin at whole minutes of the wall clock, so that a minute is all inside or all outside.
            step = min(timedelta(seconds=60 - local.second), end - moment)
            seconds += int(step.total_seconds()) if works else 0
            moment += step
        return seconds

    def _got(self, deal: dict[str, str], marked: set[tuple[str, str]]) -> bool:
        ladder = self.ladder(deal["pipeline_id"])
        steps = [step for step, stage in enumerate(ladder) if (deal["pipeline_id"], stage) in marked]
        return bool(steps) and self.furthest(deal) >= steps[0]

    def rates(self, start: date, end: date) -> Rows:
        cohort = [
            d for d in self.deals if self.before(d["created_at"]) and self.inside(d["created_at"], start, end)
        ]
        found: Rows = {("all",): self._rates(cohort)}
        for pipeline in {d["pipeline_id"] for d in cohort}:
            found[pipeline,] = self._rates([d for d in cohort if d["pipeline_id"] == pipeline])
        return found

    def _rates(self, cohort: Table) -> tuple[object, ...]:
        def had(deal: dict[str, str], name: str) -> Table:
            tests = {
                "calls": lambda row: self.before(row["at"]),
                "answered": lambda row: self.before(row["at"]) and row["answered"] == "1",
                "meetings": lambda row: row["status"] == "held" and self.before(row["held_at"]),
                "invoices": lambda row: row["status"] != "cancelled" and self.before(row["issued_at"]),
            }
            table = self.tables["calls" if name == "answered" else name]
            return [row for row in table if row["deal_id"] == deal["deal_id"] and tests[name](row)]

        won = [deal for deal in cohort if self.state(deal) == "won"]
        return (
            len(cohort),
            *(sum(bool(had(deal, name)) for deal in cohort) for name in ("answered", "meetings", "invoices")),
            len(won),
            sum((Fraction(deal["price"] or "0") for deal in won), Fraction(0)),
            *(sum(len(had(deal, name)) for deal in cohort) for name in ("calls", "meetings", "invoices")),
        )

    def reverse(self, start: date, end: date, goal: int) -> Rows:
        return {key: self._reverse(row, goal) for key, row in self.rates(start, end).items()}  # type: ignore[arg-type]

    @staticmethod
    def _reverse(rates: tuple[int, ...], goal: int) -> tuple[object, ...]:
        leads, with_call, with_meeting, with_invoice, won, revenue, calls, meetings, invoices = rates
        cheque = Fraction(revenue) / won if won else None
        if not cheque:
            return (goal, cheque, *[None] * 18)
        needed = goal / cheque
        found: list[object] = [goal, cheque, needed, math.ceil(needed), math.ceil(needed)]
        chain, above = math.ceil(needed), won
        for count in (with_invoice, with_meeting, with_call, leads):
            if not count:
                found += [None, None, None]
                continue
            exact = needed * count / won
            chain, above = math.ceil(Fraction(chain * count, above)), count
            found += [exact, math.ceil(exact), chain]
        return (*found, *(needed * count / won for count in (invoices, meetings, calls)))
