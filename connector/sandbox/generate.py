"""A year of an invented sales department, as a `History`: same seed and same day, same past.

The year ends at the midnight that begins `today` in the department's zone, so that a demo has a month under
way and some fifty deals in work. `generate_deal` tells the life of one deal; here are the people, the
calendar, the flow of enquiries and the plans.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import holidays

from connector.sandbox import names
from connector.sandbox.clients import NAME_SEPARATOR
from connector.sandbox.generate_deal import Enquiry, Life, WorkingTime
from connector.sandbox.history_tables import (
    LOST_STAGE,
    WON_STAGE,
    ChannelRow,
    History,
    HistoryAccount,
    HolidayRow,
    LossReasonRow,
    ManagerRow,
    PlanRow,
    StageRow,
)

ZONE = "Europe/Moscow"
SALES, REPEAT = 1, 2
FIRST_CLIENT = "ООО «Ромашка»"
HOSTILE_CLIENT = "ООО «Рога & Копыта» <script>"

#: (manager_id, name, team, days from the start of the year to hiring and leaving, skill, share of enquiries)
_MANAGERS: tuple[tuple[int, str, str, int | None, int | None, float, float], ...] = (
    (11, "Анна Азарова", "Москва", None, None, 1.15, 1.15),
    (12, "Борис Буров", "Москва", None, None, 1.0, 1.1),
    (13, "Вера Ветрова", "Москва", None, None, 1.25, 0.9),
    (14, "Глеб Громов", "Регионы", None, None, 0.8, 1.0),
    (15, "Дарья Дымова", "Регионы", 150, None, 0.95, 1.0),
    (16, "Егор Ежов", "Регионы", None, 190, 0.7, 0.9),
)

_STAGES = (
    (SALES, 21, "Новая заявка", "open", False, False),
    (SALES, 22, "Квалификация", "open", False, False),
    (SALES, 23, "Встреча назначена", "open", True, False),
    (SALES, 24, "Встреча проведена", "open", True, True),
    (SALES, 25, "Договор отправлен", "open", True, True),
    (SALES, 26, "Счёт выставлен", "open", True, True),
    (REPEAT, 31, "Потребность", "open", False, False),
    (REPEAT, 32, "Предложение отправлено", "open", True, False),
    (REPEAT, 33, "Счёт выставлен", "open", True, True),
)

LOSS_REASONS = (
    (1, "Дорого"),
    (2, "Выбрали конкурента"),
    (3, "Не выходит на связь"),
    (4, "Отложили на потом"),
    (5, "Нет бюджета"),
    (6, "Не наш клиент"),
    (7, "Не устроили сроки"),
)


@dataclass(frozen=True, slots=True)
class Channel:
    """Where enquiries come from. `quality` scales every step's chance; `utm` are the spellings seen."""

    id: str
    name: str
    share: float
    quality: float
    utm: tuple[tuple[str, str, str], ...]


_NO_UTM = ("", "", "")
_DIRECT = (
    ("yandex", "cpc", "kofemashiny_msk"),
    ("Yandex", "cpc", "kofemashiny_msk"),
    (" yandex ", "CPC", "brand"),
    ("yandex", "cpc", "retarget"),
    ("yandex_direct", "cpc", ""),
)
_SITE = (_NO_UTM, ("google", "organic", ""), ("Google", "organic", ""), ("yandex", "organic", ""))
_CALL = (_NO_UTM, ("2gis", "maps", ""), ("2GIS", "maps", ""))
_EXPO = (("expo", "offline", "horeca"), ("EXPO ", "offline", "horeca"), _NO_UTM)
_VK = (("vk", "social", "lead_form"), ("VK", "social", "lead_form"), ("vkontakte", "cpc", ""))
_LETTERS = (("email", "newsletter", "autumn"), ("Email", "newsletter", ""), _NO_UTM)
CHANNELS = (
    Channel("1", "Яндекс Директ", 30, 0.92, _DIRECT),
    Channel("2", "Сайт", 18, 1.0, _SITE),
    Channel("3", "Рекомендации", 11, 1.45, (_NO_UTM,)),
    Channel("4", "Входящий звонок", 15, 1.12, _CALL),
    Channel("5", "Выставка", 6, 1.2, _EXPO),
    Channel("6", "ВКонтакте", 12, 0.62, _VK),
    Channel("7", "Рассылка", 5, 1.05, _LETTERS),
)

_SUBJECTS = (
    "кофемашины для офиса", "оснащение кофейни", "кофе в зёрнах", "аренда кофемашин", "кофейный уголок",
    "автомат в холл", "сервис кофемашин", "обучение бариста", "кухня для сотрудников",
    "кофейня в бизнес-центре",
)  # fmt: skip
_REPEAT_SUBJECTS = (
    "зёрна на месяц",
    "годовой сервис",
    "вторая кофемашина",
    "чистящие средства",
    "новый филиал",
)


def generate(today: date, *, seed: int = 7, days: int = 365, per_day: float = 8.4) -> History:
    """The past of the department up to the local midnight that begins `today`.

    days: length of the past. per_day: new enquiries of a working day, on average.
    """
    rng = random.Random(f"{seed} {today.isoformat()}")
    zone = ZoneInfo(ZONE)
    start = today - timedelta(days=days)
    as_of = datetime.combine(today, time(), zone).astimezone(UTC)
    month = (today - timedelta(days=1)).replace(day=1)
    history = History(
        HistoryAccount(
            tz=ZONE,
            as_of_utc=as_of,
            last_day=today - timedelta(days=1),
            period_from=month,
            period_to=today,
            revenue_goal=Decimal(10_000_000),
            pipelines={SALES: "Продажи", REPEAT: "Повторные продажи"},
        )
    )
    history.holidays.extend(HolidayRow(day) for day in _holidays(start, today + timedelta(days=62)))
    history.channels.extend(ChannelRow(channel.id, channel.name) for channel in CHANNELS)
    history.loss_reasons.extend(LossReasonRow(*reason) for reason in LOSS_REASONS)
    history.managers.extend(_managers(start))
    history.stages.extend(_stages())
    working = WorkingTime(zone, frozenset(row.date for row in history.holidays))
    life = Life(history, working, as_of, rng, skills={row[0]: row[5] for row in _MANAGERS})
    for number, enquiry in enumerate(_enquiries(history, working, start, today, per_day, rng)):
        life.live(1001 + number, enquiry)
    life.finish()
    history.plans.extend(_plans(history, start, today, rng))
    return history


def _managers(start: date) -> Iterator[ManagerRow]:
    for manager_id, name, team, hired, fired, _, _ in _MANAGERS:
        yield ManagerRow(
            manager_id,
            name,
            team,
            ZONE if team == "Москва" else "Asia/Yekaterinburg",
            start + timedelta(days=hired) if hired is not None else start - timedelta(days=40 * manager_id),
            start + timedelta(days=fired) if fired is not None else None,
        )


def _stages() -> Iterator[StageRow]:
    for pipeline_id in (SALES, REPEAT):
        own = [row for row in _STAGES if row[0] == pipeline_id]
        for place, (_, stage_id, name, kind, is_qualified, is_key) in enumerate(own, 1):
            yield StageRow(pipeline_id, stage_id, name, place * 10, kind, is_qualified, is_key)
        yield StageRow(pipeline_id, WON_STAGE, "Успешно реализовано", 10000, "won", True, True)
        yield StageRow(pipeline_id, LOST_STAGE, "Закрыто и не реализовано", 11000, "lost", False, False)


def _holidays(start: date, end: date) -> Iterator[date]:
    calendar = holidays.country_holidays("RU", years=range(start.year, end.year + 1))
    yield from sorted(day for day in calendar if start <= day <= end)


def _enquiries(
    history: History, working: WorkingTime, start: date, today: date, per_day: float, rng: random.Random
) -> Iterator[Enquiry]:
    """New enquiries in the order of time; repeat ones come from companies that have bought."""
    hired = {row.manager_id: (row.hired_on or start, row.fired_on or date.max) for row in history.managers}
    clients = 0
    buyers: list[str] = []
    for offset in range((today - start).days):
        day = start + timedelta(days=offset)
        # January and the summer are quiet, the autumn is busy.
        season = (0.7, 0.9, 1.0, 1.0, 0.9, 0.85, 0.75, 0.8, 1.1, 1.2, 1.2, 1.15)[day.month - 1]
        mean = per_day * season if working.is_working_day(day) else per_day * 0.12
        moments = sorted(_moment(working.zone, day, rng) for _ in range(_poisson(mean, rng)))
        at_work = [row for row in _MANAGERS if hired[row[0]][0] <= day < hired[row[0]][1]]
        for at in moments:
            manager = rng.choices(at_work, [row[6] for row in at_work])[0][0]
            if buyers and rng.random() < 0.14:
                subject = f"{rng.choice(buyers)}{NAME_SEPARATOR}{rng.choice(_REPEAT_SUBJECTS)}"
                yield Enquiry(at, REPEAT, subject, manager, None, ("", "", ""), 1.5)
                continue
            clients += 1
            company = names.company(clients)
            if rng.random() < 0.12:
                buyers.append(company)
            channel = rng.choices(CHANNELS, [channel.share for channel in CHANNELS])[0]
            known = rng.random() > 0.025
            yield Enquiry(
                at,
                SALES,
                f"{company}{NAME_SEPARATOR}{rng.choice(_SUBJECTS)}",
                # Some enquiries lie about until somebody takes them.
                manager if rng.random() > 0.012 else None,
                channel.id if known else None,
                rng.choice(channel.utm),
                channel.quality,
                by_phone=channel.name == "Входящий звонок",
            )
    yield from _prepared(working.zone, today)


def _prepared(zone: ZoneInfo, today: date) -> Iterator[Enquiry]:
    """Deals that every demo has: one in good order, to be moved first, and one whose name is an attack."""

    def enquiry(name: str, days: int, waits_in: int) -> Enquiry:
        at = datetime.combine(today - timedelta(days=days), time(12, 20), zone).astimezone(UTC)
        return Enquiry(at, SALES, name, 11, "2", ("", "", ""), 1.0, waits_in=waits_in)

    yield enquiry(f"{FIRST_CLIENT}{NAME_SEPARATOR}кофемашины для офиса", 6, 23)
    yield enquiry(f"{HOSTILE_CLIENT}{NAME_SEPARATOR}кофемашины для офиса", 1, 21)


def _moment(zone: ZoneInfo, day: date, rng: random.Random) -> datetime:
    """When an enquiry of the day comes: mostly in working hours, some in the evening and at night."""
    hour = rng.triangular(8.5, 20.5, 11.5) if rng.random() < 0.9 else rng.uniform(0, 24)
    second = min(int(hour * 3600), 86_399)
    return (datetime.combine(day, time(), zone) + timedelta(seconds=second)).astimezone(UTC)


def _poisson(mean: float, rng: random.Random) -> int:
    count, left = 0, rng.expovariate(1.0)
    while left < mean:
        count += 1
        left += rng.expovariate(1.0)
    return count


def _plans(history: History, start: date, today: date, rng: random.Random) -> Iterator[PlanRow]:
    """Monthly plans of everybody at work; a newcomer has none for his first month."""
    base = {"leads": 34, "calls": 110, "meetings": 14, "invoices": 10, "won": 9, "revenue": 2_000_000}
    month = start.replace(day=1)
    while month <= today:
        for manager_id, _, _, _, _, skill, share in _MANAGERS:
            row = next(row for row in history.managers if row.manager_id == manager_id)
            if (row.hired_on and row.hired_on > month) or (row.fired_on and row.fired_on <= month):
                continue
            for metric, plan in base.items():
                if metric == "invoices" and rng.random() < 0.15:
                    continue
                step = 50_000 if metric == "revenue" else 1
                value = round(plan * share * (skill if metric in ("won", "revenue") else 1) / step) * step
                yield PlanRow(manager_id, month, metric, Decimal(value))
        month = (month + timedelta(days=32)).replace(day=1)
