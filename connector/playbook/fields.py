"""Texts of the playbook -> numbers, days, times and words of a choice; each mistake is a Russian ValueError.

Values may come ready-made from Python as well; those pass through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from zoneinfo import ZoneInfo, available_timezones

from connector.playbook.words import fold, unknown

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS_RU = ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье")

#: The words of `on:` as people may write them -> as the model holds them.
_DAY_WORDS: dict[str, str] = {
    "daily": "daily",
    "ежедневно": "daily",
    "working_days": "working_days",
    "working days": "working_days",
    "рабочие дни": "working_days",
    "last": "last",
    "последний": "last",
    "last_working_day": "last_working_day",
    "last working day": "last_working_day",
    "последний рабочий день": "last_working_day",
    **dict(zip(WEEKDAYS, WEEKDAYS, strict=True)),
    **dict(zip(_WEEKDAYS_RU, WEEKDAYS, strict=True)),
}


def money(value: object) -> object:
    """`10 000 000`, `10000000.50` -> Decimal with at most two decimals, above zero."""
    number = _decimal(value, "сумма", "10 000 000")
    if isinstance(number, Decimal) and (number <= 0 or number != round(number, 2) or number >= 10**15):
        raise ValueError(f"сумма «{value}»: нужно число больше нуля, до копеек")
    return number


def count(value: object) -> object:
    """`1 200` -> a whole Decimal above zero."""
    number = _decimal(value, "число", "1 200")
    if isinstance(number, Decimal) and (number <= 0 or number != round(number) or number >= 10**9):
        raise ValueError(f"«{value}»: нужно целое число больше нуля")
    return number


def kpi(value: object) -> object:
    """The word `funnel`, or a set of numbers by metric."""
    if isinstance(value, str) and fold(value) in ("funnel", "по воронке"):
        return "funnel"
    if isinstance(value, str):
        raise ValueError(
            f"«{value}»: нужны числа по показателям, например {{meetings: 120}}, или слово funnel"
        )
    return value


def spell(value: object) -> object:
    """`07.12.2026-20.12.2026` or one date -> (first, last), both inclusive."""
    if not isinstance(value, str):
        return value
    parts = re.split(r"\s*[–—]\s*|\s+-\s+|(?<=[0-9]{4})-(?=[0-9]{1,2}\.)", value.strip())
    if len(parts) > 2:
        raise ValueError(f"«{value}»: нужны первый и последний день, например 07.12.2026-20.12.2026")
    first, last = day(parts[0]), day(parts[-1])
    if isinstance(first, date) and isinstance(last, date) and last < first:
        raise ValueError(f"«{value}»: последний день раньше первого")
    return first, last


def percents(value: object) -> object:
    """`[25, 50, 75]` -> shares 0.25, 0.5, 0.75; each from 0 to 100."""
    if not isinstance(value, (list, tuple)):
        raise ValueError("нужен список процентов по месяцам, например [25, 50, 75]")
    shares = [_decimal(part, "процент", "50") for part in value]
    for share in shares:
        if not isinstance(share, Decimal) or not 0 <= share <= 100:
            raise ValueError(f"«{share}»: нужен процент от 0 до 100")
    return tuple(share / 100 for share in shares if isinstance(share, Decimal))


def weight(value: object) -> object:
    """`40`, `12.5` -> Decimal above zero."""
    number = _decimal(value, "доля", "40")
    if isinstance(number, Decimal) and not 0 < number < 10**9:
        raise ValueError(f"доля «{value}»: нужно число больше нуля")
    return number


def _decimal(value: object, what: str, example: str) -> object:
    if not isinstance(value, str):
        return value
    digits = "".join(value.split()).replace("_", "").replace(",", ".")
    if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,6})?", digits, re.ASCII):
        raise ValueError(f"{what} «{value}»: нужно число, например {example}")
    return Decimal(digits)


def month(value: object) -> object:
    """`2026-12`, `12.2026` -> the month's first day; `every`, `каждый` -> None."""
    if not isinstance(value, str):
        return value
    if fold(value) in ("every", "каждый"):
        return None
    if found := re.fullmatch(r"([0-9]{4})-([0-9]{1,2})", value.strip()):
        year, number = int(found[1]), int(found[2])
    elif found := re.fullmatch(r"([0-9]{1,2})\.([0-9]{4})", value.strip()):
        year, number = int(found[2]), int(found[1])
    else:
        raise ValueError(f"месяц «{value}»: нужны год и месяц, например 2026-12, или every")
    return _date(value, year, number, 1)


def day(value: object) -> object:
    """`2026-12-31`, `31.12.2026` -> a date."""
    if not isinstance(value, str):
        return value
    if found := re.fullmatch(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})", value.strip()):
        return _date(value, int(found[1]), int(found[2]), int(found[3]))
    if found := re.fullmatch(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})", value.strip()):
        return _date(value, int(found[3]), int(found[2]), int(found[1]))
    raise ValueError(f"день «{value}»: нужна дата, например 31.12.2026")


def _date(value: str, year: int, number: int, day_of_month: int) -> date:
    try:
        result = date(year, number, day_of_month)
    except ValueError:
        raise ValueError(f"«{value}»: такой даты нет") from None
    if not 2000 <= year <= 2100:
        raise ValueError(f"«{value}»: год должен быть от 2000 до 2100")
    return result


def clock_time(value: object) -> object:
    """`09:30`, `9:30` -> a time."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", value.strip())
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(f"время «{value}»: нужны часы и минуты, например 09:30")
    return time(int(found[1]), int(found[2]))


def hours(value: object) -> object:
    """`09:00-18:00` -> (start, end)."""
    if not isinstance(value, str):
        return value
    parts = re.split(r"\s*[-–—]\s*", value.strip())
    if len(parts) != 2:
        raise ValueError(f"рабочие часы «{value}»: нужны начало и конец, например 09:00-18:00")
    start, end = clock_time(parts[0]), clock_time(parts[1])
    if isinstance(start, time) and isinstance(end, time) and start >= end:
        raise ValueError(f"рабочие часы «{value}»: конец должен быть позже начала")
    return start, end


def report_days(value: object) -> object:
    """`working_days`, `понедельник`, `[1st, 15th]` -> canonical words: those of `_DAY_WORDS` and `1`…`31`."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not words:
        raise ValueError("нужны дни: working_days, daily, monday… или [1st, 15th]")
    result = tuple(dict.fromkeys(_report_day(str(word)) for word in words))
    if len({_kind_of_day(word) for word in result}) > 1 or (
        len(result) > 1 and _kind_of_day(result[0]) == "all"
    ):
        raise ValueError(
            "нельзя смешивать: либо дни недели, либо числа месяца, либо working_days, либо daily"
        )
    return result


def _report_day(word: str) -> str:
    folded = fold(word)
    if folded in _DAY_WORDS:
        return _DAY_WORDS[folded]
    found = re.fullmatch(r"([0-9]{1,2})(st|nd|rd|th|-?е|-?го)?", folded)
    if found and 1 <= int(found[1]) <= 31:
        return str(int(found[1]))
    raise ValueError(unknown("неизвестный день", word, [*_DAY_WORDS, "1st", "15th"]))


def _kind_of_day(word: str) -> str:
    if word in WEEKDAYS:
        return "week"
    return "month" if word in ("last", "last_working_day") or word.isdigit() else "all"


def zone(value: object) -> object:
    """`Asia/Yekaterinburg` as it is; ValueError for a zone that nobody knows."""
    try:
        ZoneInfo(str(value))
    except (ValueError, KeyError, OSError):
        raise ValueError(
            unknown("неизвестный часовой пояс", str(value), sorted(available_timezones()))
        ) from None
    return value


def truth(value: object) -> object:
    """`true`/`false`, `да`/`нет` -> bool."""
    if not isinstance(value, str):
        return value
    words: Mapping[str, bool] = {
        "true": True,
        "yes": True,
        "да": True,
        "false": False,
        "no": False,
        "нет": False,
    }
    if fold(value) not in words:
        raise ValueError(f"«{value}»: нужно true или false")
    return words[fold(value)]


def one_or_many(value: object) -> object:
    """A single word where a list may stand -> a list of one; a repeated word is a mistake."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple)):
        seen: set[str] = set()
        for word in value:
            if isinstance(word, str) and fold(word) in seen:
                raise ValueError(f"«{word}» повторено")
            seen.add(fold(word) if isinstance(word, str) else "")
    return value


def one_of(value: object, allowed: Iterable[str]) -> object:
    """`value` when it is among the allowed words."""
    choice = tuple(allowed)
    if isinstance(value, str) and value not in choice:
        raise ValueError(unknown("недопустимое значение", value, choice))
    return value


def name(value: str) -> str:
    """A name as people read it: spaces folded; one line of at most 120 characters."""
    text = " ".join(value.split())
    if not text:
        raise ValueError("пусто")
    if len(text) > 120:
        raise ValueError("длиннее 120 знаков")
    return text
