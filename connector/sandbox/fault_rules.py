"""One fault made to order: what goes wrong, for whom, how often and until when.

A `Rule` only says whether it strikes; `faults` keeps the rules and carries them out. Messages are in Russian:
a person reads them on the page of faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

What = Literal["status", "html", "slow", "timeout", "cut", "bad_json", "drop", "double", "reorder", "delay"]

#: What may go wrong with the answer to a request, and with a webhook on its way; as the page names it.
REQUEST_FAULTS: Final[dict[str, str]] = {
    "status": "Ответ с кодом ошибки",
    "html": "HTML вместо JSON",
    "slow": "Медленный ответ",
    "timeout": "Нет ответа",
    "cut": "Обрыв посреди ответа",
    "bad_json": "Испорченный JSON",
}
HOOK_FAULTS: Final[dict[str, str]] = {
    "drop": "Хук потерян",
    "double": "Хук приходит дважды",
    "reorder": "Хуки приходят вперемешку",
    "delay": "Хук опаздывает",
}
#: Whose requests and webhooks may go wrong.
CRMS: Final = ("amocrm", "bitrix24", "yookassa")
METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")

#: Seconds that a fault lasts when the order does not say.
USUAL_DELAY_S: Final = {"slow": 3.0, "timeout": 60.0, "delay": 10.0, "reorder": 2.0}
MAX_TIMES: Final = 1_000_000
MAX_SECONDS: Final = 86_400.0
MAX_BODY: Final = 1_000_000


class BadOrder(ValueError):
    """The order cannot be carried out; the text names the key and what it may be."""


@dataclass(slots=True)
class Rule:
    """A fault in force. Empty `crm`, `account`, `path`, `method` stand for any.

    path: a part of the address, or a pattern when it holds `*`; for webhooks the event's name. share: which
    part (0..1) of the matching calls is struck. times: how often at most, None = no end. until: the moment
    of the sandbox's clock at which it is over, None = no end. after_commit: the request is carried out and
    only its answer is lost, so a repeat makes a second entity. seen, struck: what it has met and done.
    """

    id: int
    what: What
    status: int = 200
    body: str | None = None
    content_type: str = "text/html"
    crm: str = ""
    account: str = ""
    method: str = ""
    path: str = ""
    times: int | None = None
    share: float = 1.0
    until: datetime | None = None
    delay_s: float = 0.0
    after_commit: bool = False
    made_at: datetime | None = None
    seen: int = 0
    struck: int = 0

    @property
    def is_for_hooks(self) -> bool:
        return self.what in HOOK_FAULTS

    def is_over(self, now: datetime) -> bool:
        used_up = self.times is not None and self.struck >= self.times
        return used_up or (self.until is not None and now >= self.until)

    def matches(self, crm: str, account: str, method: str, path: str) -> bool:
        return (
            self.crm in ("", crm)
            and self.account in ("", account)
            and self.method in ("", method)
            and _path_fits(self.path, path)
        )

    def describe(self) -> dict[str, Any]:
        """As the admin API shows it."""
        return {
            "id": self.id,
            "what": self.what,
            "title": (REQUEST_FAULTS | HOOK_FAULTS)[self.what],
            "status": self.status if self.what in ("status", "html") else None,
            "crm": self.crm,
            "account": self.account,
            "method": self.method,
            "path": self.path,
            "times": self.times,
            "left": None if self.times is None else max(0, self.times - self.struck),
            "share": self.share,
            "until": self.until.isoformat() if self.until else None,
            "delay_s": self.delay_s,
            "after_commit": self.after_commit,
            "seen": self.seen,
            "struck": self.struck,
        }


def _path_fits(pattern: str, path: str) -> bool:
    """Upper and lower case are the same: Bitrix24's method names are."""
    wanted, given = pattern.lower(), path.lower()
    return fnmatchcase(given, wanted) if "*" in wanted else wanted in given


def parse(order: object, *, number: int, now: datetime) -> Rule:
    """The rule behind a JSON order. Raises BadOrder for anything unknown, missing or out of range."""
    if not isinstance(order, Mapping):
        raise BadOrder("нужен объект JSON с ключом what")
    found = _Reader(order)
    titles = REQUEST_FAULTS | HOOK_FAULTS
    what = found.choice("what", tuple(titles))
    if not what:
        raise BadOrder(f"what: что должно сломаться? Есть {', '.join(titles)}")
    allowed = _COMMON | (_OF_HOOKS if what in HOOK_FAULTS else _OF_REQUESTS)
    unknown = sorted(str(key) for key in order if key not in allowed)
    if unknown:
        raise BadOrder(f"{unknown[0]}: такого ключа у «{what}» нет; есть {', '.join(sorted(allowed))}")
    if what == "status" and "status" not in order:
        raise BadOrder("status: нужен код ответа, от 200 до 599")
    for_s = found.number("for_s", 0.001, MAX_SECONDS, None)
    body = found.text("body", MAX_BODY) if order.get("body") is not None else None
    return Rule(
        id=number,
        what=what,  # type: ignore[arg-type]
        status=int(found.number("status", 200, 599, 200, whole=True) or 200),
        body=body,
        content_type=found.text("content_type", 200) or "text/html",
        crm=found.choice("crm", CRMS),
        account=found.text("account", 200),
        method=found.choice("method", METHODS),
        path=found.text("path", 500),
        times=_whole(found.number("times", 1, MAX_TIMES, None, whole=True)),
        share=found.number("share", 0, 1, 1.0) or 0.0,
        until=now + timedelta(seconds=for_s) if for_s is not None else None,
        delay_s=found.number("delay_s", 0, MAX_SECONDS, USUAL_DELAY_S.get(what, 0.0)) or 0.0,
        after_commit=found.flag("after_commit"),
        made_at=now,
    )


_COMMON = frozenset({"what", "crm", "account", "path", "times", "share", "for_s", "delay_s"})
_OF_HOOKS: frozenset[str] = frozenset()
_OF_REQUESTS = frozenset({"method", "status", "body", "content_type", "after_commit"})


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Values of an order by key, each checked; null is as good as absent."""

    order: Mapping[Any, Any] = field(repr=False)

    def text(self, key: str, longest: int) -> str:
        value = self.order.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > longest or (key != "body" and "\n" in value):
            raise BadOrder(f"{key}: нужен текст не длиннее {longest} знаков, одной строкой")
        return value

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.order.get(key)
        if value is None or value == "":
            return ""
        if value not in allowed:
            raise BadOrder(f"{key}: {_shown(value)} не подходит; есть {', '.join(allowed)}")
        return str(value)

    def flag(self, key: str) -> bool:
        value = self.order.get(key)
        if value is not None and not isinstance(value, bool):
            raise BadOrder(f"{key}: нужно true или false")
        return bool(value)

    def number(
        self, key: str, low: float, high: float, usual: float | None, *, whole: bool = False
    ) -> float | None:
        value = self.order.get(key)
        if value is None:
            return usual
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        if not fits or (whole and value != int(value)):
            kind = "целое число" if whole else "число"
            raise BadOrder(f"{key}: нужно {kind} от {low:g} до {high:g}, а не {_shown(value)}")
        return float(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
