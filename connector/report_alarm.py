"""A report that failed: the owner of the system is told, by a task in the CRM and by a letter at once.

One alarm a run, however often it is tried; the task is closed by itself when the report has gone out after
all. The letter is there for the day when the CRM itself is down.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from connector.clock import Clock
from connector.delivery.base import Channel, Letter, message_id
from connector.errors import DeliveryError
from connector.playbook.model import Playbook
from connector.reports.recipients import Recipient, resolve
from connector.store import facts, outbox
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.store.report_runs import RunKey

log = logging.getLogger(__name__)

#: Who looks after the system: the first of these roles that the playbook has.
ROLES = ("system", "owner", "head_of_sales")

RULE = "Отправка отчётов"
DUE = timedelta(hours=2)
_SHOWN = 500


class ReportAlarm:
    """Alarms of all accounts of one store."""

    def __init__(
        self,
        db: Database,
        queue: JobQueue,
        playbook: Callable[[], Playbook],
        email: Channel,
        sender: str,
        clock: Clock,
    ) -> None:
        self._db = db
        self._queue = queue
        self._playbook = playbook
        self._email = email
        self._sender = sender
        self._clock = clock

    def raise_(self, key: RunKey, problem: str, *, about: str = "") -> bool:
        """Tell of the run's failure, once; False when it was told before. Never raises for a channel.

        about: what else went wrong with it, which `close` leaves open.
        """
        person = self._person(key.account)
        if person is None:
            log.error("nobody to tell of a failed report: %s", problem, extra={"action": "report_alarm_lost"})
            return False
        text = (
            f"Отчёт «{key.report}» не доставлен полностью\n{problem[:_SHOWN]}\n"
            "Коннектор попробует ещё раз сам, остальные отчёты идут своим чередом. Если отчёт уйдёт, "
            "эта задача закроется; если нет — проверьте connector status."
        )
        due_at = self._clock.now() + DUE
        params = {"text": text, "due_at": due_at.isoformat(), "role": person.role}
        if not self._add(key, _key(key) + about, "person_task", params):
            return False
        if person.email:
            self._mail(key, person.email, text, about)
        return True

    def close(self, key: RunKey) -> None:
        """The report has gone out after all: close the task, if there was one."""
        with self._db.begin() as conn:
            task = outbox.by_key(conn, key.account, _key(key))
            if task is None:
                return
            if task.status in ("ready", "held", "dead"):
                outbox.cancel(conn, task, "отчёт ушёл", self._clock.now())
                return
        params = {"ask_key": _key(key), "text": "Отчёт ушёл."}
        self._add(key, f"close:{_key(key)}", "close_ask", params)

    def _person(self, account: str) -> Recipient | None:
        with self._db.read() as conn:
            users = list(facts.directory(conn, account).users.values())
        people = resolve(self._playbook().people, users)
        return next((people[role] for role in ROLES if role in people), None)

    def _mail(self, key: RunKey, to: str, text: str, about: str) -> None:
        identity = message_id(key.account, f"alarm:{_key(key)}{about}", self._sender)
        title = f"Отчёт «{key.report}» не доставлен полностью"
        html = "".join(f"<p>{_escaped(line)}</p>" for line in text.splitlines())
        letter = Letter(to, title, text, html, identity, self._sender)
        try:
            self._email.send(letter)
        except DeliveryError as error:
            log.warning("alarm not mailed: %s", error, extra={"action": "report_alarm_not_mailed"})

    def _add(self, key: RunKey, effect_key: str, action: str, params: dict[str, str]) -> bool:
        with self._db.begin() as conn:
            effect_id = outbox.add(
                conn,
                account=key.account,
                key=effect_key,
                rule=RULE,
                action=action,
                params=params,
                deal_id=None,
                now=self._clock.now(),
            )
            if effect_id is None:
                return False
            order = f"{key.account}:report:{key.report}"
            args = {"effect_id": effect_id}
            self._queue.enqueue(conn, "effect", args, account=key.account, order_key=order)
            return True


def _key(key: RunKey) -> str:
    return f"report:{key.report}:{key.slot.isoformat()}"


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
