"""A made-up past in the history format, with all that real ones have wrong: for tests and measurements.

Deals that bounce within a second, skip, go back, are won twice, reopened, moved to another pipeline, deleted;
calls before their deal; utm marks in any case; prices empty and zero; managers who left; plans that are
missing; marks at midnights, month ends and the hours when clocks change.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

COLUMNS = {
    "calls": "call_id,deal_id,manager_id,at,direction,answered,duration_s",
    "channels": "channel_id,name",
    "deals": "deal_id,name,pipeline_id,stage_id,manager_id,channel_id,utm_source,utm_medium,utm_campaign,"
    "price,created_at,closed_at,loss_reason_id,is_deleted,deleted_at",
    "holidays": "date",
    "invoices": "invoice_id,deal_id,manager_id,issued_at,amount,status,paid_at",
    "loss_reasons": "loss_reason_id,name",
    "managers": "manager_id,name,team,tz,hired_on,fired_on",
    "meetings": "meeting_id,deal_id,manager_id,created_at,planned_at,held_at,status",
    "messages": "message_id,deal_id,manager_id,at,direction",
    "plans": "manager_id,month,metric,plan",
    "stages": "pipeline_id,stage_id,name,sort,kind,is_qualified,is_key",
    "tasks": "task_id,deal_id,manager_id,created_at,due_at,completed_at",
    "transitions": "event_id,deal_id,pipeline_id,at,from_stage_id,to_stage_id,changed_by",
}

#: Pipeline -> its open stages in their order; 142 is won and 143 lost in each.
PIPELINES = {1: (10, 11, 12, 13, 14), 2: (20, 21, 22)}

SOURCES = ("yandex", "Yandex ", "YANDEX", "google", " google", "", "", "vk", "\u0412\u041a", "telegram")


def write_past(
    folder: Path,
    deals: int,
    seed: int,
    *,
    zone: str = "Europe/Moscow",
    first_day: date = date(2023, 11, 20),
    as_of: date = date(2025, 1, 9),
    period: tuple[date, date] = (date(2024, 12, 1), date(2025, 1, 1)),
    calls: int = 3,
    messages: int = 2,
    with_holidays: bool = True,
    changes_pipelines: bool = True,
) -> None:
    """Write the folder; `calls` and `messages` are the numbers a deal has on average."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for table, columns in COLUMNS.items():
            if table == "holidays" and not with_holidays:
                continue
            file = stack.enter_context((folder / f"{table}.csv").open("w", encoding="utf-8", newline=""))
            writers[table] = csv.writer(file, lineterminator="\n")
            writers[table].writerow(columns.split(","))
        past = _Past(random.Random(seed), ZoneInfo(zone), first_day, as_of, writers, calls, messages)
        past.changes_pipelines = changes_pipelines
        past.directory(with_holidays)
        for number in range(1, deals + 1):
            past.deal(number, number / deals)
    document = {
        "tz": zone,
        "as_of_utc": _text(past.end),
        "last_day": (as_of - timedelta(days=1)).isoformat(),
        "period_from": period[0].isoformat(),
        "period_to": period[1].isoformat(),
        "work_start_hour": 9,
        "work_end_hour": 18,
        "work_weekdays": [1, 2, 3, 4, 5],
        "currency": "RUB",
        "revenue_goal": 5_000_000,
    }
    (folder / "account.json").write_text(json.dumps(document), encoding="utf-8")


def _text(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


class _Past:
    def __init__(
        self,
        rng: random.Random,
        zone: ZoneInfo,
        first_day: date,
        as_of: date,
        writers: dict[str, Any],
        calls: int,
        messages: int,
    ) -> None:
        self.rng = rng
        self.zone = zone
        self.start = datetime.combine(first_day, time(), zone).astimezone(UTC)
        self.end = datetime.combine(as_of, time(), zone).astimezone(UTC)
        self.writers = writers
        self.calls, self.messages = calls, messages
        self.managers = [str(number) for number in range(1, 13)]
        self.changes_pipelines = True
        self.next_id = dict.fromkeys(COLUMNS, 0)

    def write(self, table: str, *cells: Any) -> None:
        self.next_id[table] += 1
        self.writers[table].writerow([self.next_id[table], *cells])

    def directory(self, with_holidays: bool) -> None:
        for number in self.managers:
            fired = "2024-06-30" if number in ("3", "7") else ""
            self.writers["managers"].writerow(
                [number, f"Менеджер {number}", "Отдел", "Asia/Omsk", "2023-01-10", fired]
            )
        for pipeline, steps in PIPELINES.items():
            for position, stage in enumerate(steps):
                marks = (int(position >= 2), int(position == len(steps) - 1))
                row = [pipeline, stage, f"Этап {stage}", (position + 1) * 10, "open", *marks]
                self.writers["stages"].writerow(row)
            for stage, name, sort, kind in (
                (142, "Успешно", 10000, "won"),
                (143, "Отказ", 11000, "lost"),
            ):
                self.writers["stages"].writerow([pipeline, stage, name, sort, kind, 0, 0])
        for number in range(1, 6):
            self.writers["channels"].writerow([number, f"Канал {number}"])
            self.writers["loss_reasons"].writerow([number, f"Причина {number}"])
        if with_holidays:
            for day in ("2024-01-01", "2024-02-23", "2024-12-30", "2024-12-31", "2025-01-01", "2025-01-02"):
                self.writers["holidays"].writerow([day])
        months = [f"{year}-{month:02}-01" for year in (2023, 2024, 2025) for month in range(1, 13)]
        for manager in self.managers:
            for month in months:
                for metric, most in (
                    ("leads", 60),
                    ("calls", 400),
                    ("meetings", 30),
                    ("invoices", 20),
                    ("won", 12),
                    ("revenue", 900_000),
                ):
                    if self.rng.random() < 0.8:
                        self.writers["plans"].writerow([manager, month, metric, self.rng.randrange(most)])

    def deal(self, number: int, share: float) -> None:
        rng = self.rng
        pipeline = 1 if rng.random() < 0.7 else 2
        created = self.moment(share)
        manager = rng.choice(self.managers) if rng.random() < 0.93 else ""
        moves = list(self.moves(pipeline, created))
        before = ""
        for at, of, stage in moves:
            self.write("transitions", number, of, _text(at), before, stage, rng.choice((manager, "0", "")))
            before = stage
        last_at, pipeline, stage = moves[-1]
        amount = rng.choice(
            ("", "0", str(rng.randrange(1, 500_000)), f"{rng.randrange(1, 50_000_000) / 100:.2f}")
        )
        is_deleted = rng.random() < 0.04
        self.writers["deals"].writerow(
            [
                number,
                f"Сделка {number}" if rng.random() < 0.99 else f'Сделка "{number}", две\nстроки',
                pipeline,
                stage,
                manager,
                rng.choice(("", "1", "2", "3", "4", "5")),
                rng.choice(SOURCES),
                "cpc",
                "",
                amount,
                _text(created),
                _text(last_at) if stage in (142, 143) else "",
                rng.choice(("", "1", "2", "3", "4", "5")) if stage == 143 else "",
                int(is_deleted),
                _text(last_at + timedelta(hours=1)) if is_deleted else "",
            ]
        )
        self.activities(number, manager, created, last_at)

    def moment(self, share: float) -> datetime:
        """Some moment of the past; many of them at the edges of days, months and of summer time."""
        rng = self.rng
        at = self.start + (self.end - self.start) * (share * 0.98 + rng.random() * 0.02)
        luck = rng.random()
        if luck < 0.15:
            local = at.astimezone(self.zone)
            day = local.date().replace(day=1) if luck < 0.05 else local.date()
            edge = datetime.combine(day, time(), self.zone).astimezone(UTC)
            at = edge + timedelta(seconds=rng.choice((-1, 0, 1)))
        at = at.replace(microsecond=0)
        return max(self.start, min(at, self.end - timedelta(seconds=1)))

    def moves(self, pipeline: int, created: datetime) -> Iterator[tuple[datetime, int, int]]:
        """(at, pipeline, stage) of a deal's life, all before the end."""
        rng = self.rng
        at, step = created, 0 if rng.random() < 0.9 else 1
        yield at, pipeline, PIPELINES[pipeline][step]
        stage = PIPELINES[pipeline][step]
        for _ in range(rng.randrange(1, 12)):
            at += timedelta(seconds=rng.choice((0, 1, 60, rng.randrange(3600), rng.randrange(86400 * 12))))
            if at >= self.end:
                return
            luck = rng.random()
            steps = PIPELINES[pipeline]
            if stage in (142, 143):
                if luck < 0.85:
                    return
                stage = rng.choice(steps) if luck < 0.97 else (285 - stage)
            elif luck < 0.5:
                position = steps.index(stage)
                stage = steps[position + 1] if position + 1 < len(steps) else 142
            elif luck < 0.6:
                stage = rng.choice(steps)
            elif luck < 0.7:
                stage = 142
            elif luck < 0.985 or not self.changes_pipelines:
                stage = 143
            else:
                pipeline = 3 - pipeline
                stage = rng.choice(PIPELINES[pipeline])
            yield at, pipeline, stage

    def activities(self, deal: int, manager: str, created: datetime, last_at: datetime) -> None:
        rng = self.rng
        span = max(int((min(last_at + timedelta(days=2), self.end) - created).total_seconds()), 61)

        def when(earliest: int = 0) -> datetime:
            seconds = rng.randrange(earliest, min(span, rng.choice((60, 600, 86400, span)) + earliest + 1))
            return min(created + timedelta(seconds=seconds), self.end - timedelta(seconds=1))

        def who() -> str:
            return manager if rng.random() < 0.8 else rng.choice([*self.managers, ""])

        for _ in range(rng.randrange(self.calls * 2 + 1)):
            at = when(-60) if rng.random() < 0.2 else when()
            answered = int(rng.random() < 0.6)
            self.write(
                "calls", deal, who(), _text(at), rng.choice(("in", "out")), answered, rng.randrange(600)
            )
        for _ in range(rng.randrange(self.messages * 2 + 1)):
            self.write("messages", deal, who(), _text(when()), rng.choice(("in", "out")))
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            at, status = when(), rng.choice(("held", "held", "cancelled", "planned"))
            planned = at + timedelta(days=rng.randrange(9))
            held = min(planned, self.end - timedelta(seconds=1)) if status == "held" else None
            self.write("meetings", deal, who(), _text(at), _text(planned), _text(held), status)
        for _ in range(rng.choice((0, 1))):
            at = when()
            done = when() if rng.random() < 0.7 else None
            self.write("tasks", deal, who(), _text(at), _text(at + timedelta(days=1)), _text(done))
        for _ in range(rng.choice((0, 0, 1, 2))):
            at, status = when(), rng.choice(("issued", "paid", "paid", "cancelled"))
            paid = at + timedelta(seconds=rng.randrange(86400 * 5)) if status == "paid" else None
            if paid and paid >= self.end:
                paid = None
            amount = rng.choice((rng.randrange(1, 300_000), f"{rng.randrange(1, 9_000_000) / 100:.2f}"))
            self.write(
                "invoices",
                deal,
                who(),
                _text(at),
                amount,
                status if paid or status != "paid" else "issued",
                _text(paid),
            )
