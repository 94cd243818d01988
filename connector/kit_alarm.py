"""Mistakes in edited templates while the service runs: kept for all to see, one task for the head of sales.

Every process of an installation finds the same mistakes in the same folder; whoever is first asks for the
task, and whoever first finds the folder well again has it closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from connector.clock import Clock
from connector.errors import Problem
from connector.store import cursors, outbox
from connector.store.database import Database
from connector.store.jobs import JobQueue

#: The cursor under which an account keeps what is wrong with the templates.
FAULT = "kit_fault"

#: The rule's name of the task.
RULE = "Проверка правил и шаблонов"

#: The effect of the task.
TASK = "kit_alarm"

#: The task is due so soon: the department works with yesterday's templates meanwhile.
DUE = timedelta(hours=2)

_SHOWN = 10
_MESSAGE_CHARS = 300


@dataclass(frozen=True, slots=True)
class KitFault:
    """Why the newest change of the templates is not at work."""

    since: datetime
    problems: tuple[Problem, ...]


class KitAlarm:
    """Raises the alarm of an installation's accounts, and closes it."""

    def __init__(self, db: Database, queue: JobQueue, accounts: Sequence[str], clock: Clock) -> None:
        self._db = db
        self._queue = queue
        self._accounts = accounts
        self._clock = clock

    def told(self, problems: Sequence[Problem]) -> None:
        """What the last look found: nothing means that all is well."""
        for account in self._accounts:
            if problems:
                self._raise(account, problems)
            else:
                self._close(account)

    def fault(self) -> KitFault | None:
        """What is wrong now, as the processes at work have found it."""
        with self._db.read() as conn:
            kept = [value for name in self._accounts if (value := cursors.find(conn, name, FAULT))]
        if not kept:
            return None
        problems = tuple(Problem(place, message) for place, message in kept[0]["problems"])
        return KitFault(datetime.fromisoformat(kept[0]["since"]), problems)

    def _raise(self, account: str, problems: Sequence[Problem]) -> None:
        now = self._clock.now()
        said = [[problem.place, problem.message] for problem in problems]
        key = f"kit:{now.isoformat()}"
        with self._db.begin() as conn:
            value = {"problems": said, "since": now.isoformat(), "key": key}
            if not cursors.begin(conn, account, FAULT, value, now):
                # The task is there already; it would only grow old with every further slip.
                open_one = cursors.find(conn, account, FAULT)
                if open_one is not None:
                    cursors.save(conn, account, FAULT, {**open_one, "problems": said}, now)
                return
            params = {"text": _text(problems), "due_at": (now + DUE).isoformat()}
            self._add(conn, account, key, TASK, params, now)

    def _close(self, account: str) -> None:
        now = self._clock.now()
        with self._db.begin() as conn:
            fault = cursors.take(conn, account, FAULT)
            if fault is None:
                return
            key = str(fault["key"])
            task = outbox.by_key(conn, account, key)
            if task is not None and task.status in ("ready", "held", "dead"):
                outbox.cancel(conn, task, "ошибку в шаблонах исправили", now)
                return
            params = {"ask_key": key, "text": "Исправлено: новая версия правил и шаблонов работает."}
            self._add(conn, account, f"close:{key}", "close_ask", params, now)

    def _add(
        self, conn: Connection, account: str, key: str, action: str, params: dict[str, str], now: datetime
    ) -> None:
        effect_id = outbox.add(
            conn, account=account, key=key, rule=RULE, action=action, params=params, deal_id=None, now=now
        )
        if effect_id is not None:
            args = {"effect_id": effect_id}
            # In one order: what closes a task must not overtake what makes it.
            self._queue.enqueue(conn, "effect", args, account=account, order_key=f"{account}:kit")


def _text(problems: Sequence[Problem]) -> str:
    lines = [f"• {problem.place}: {problem.message[:_MESSAGE_CHARS]}" for problem in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        lines.append(f"… и ещё {len(problems) - _SHOWN}, все назовёт connector check")
    return "\n".join(
        [
            "Исправьте ошибку в правилах или шаблонах: пока работает прежняя версия",
            *lines,
            "Сохраните исправленный файл: новая версия включится сама, и эта задача закроется.",
        ]
    )
