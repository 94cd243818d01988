"""The outbox at work: runs one effect, and says aloud when it waits for data or has failed for good.

Effects of one firing of a rule run in their order; different firings do not wait for each other.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from connector.actions.base import Tools
from connector.actions.table import ACTIONS, INTERNAL_ACTIONS
from connector.cards import DealGone
from connector.clock import Clock
from connector.documents.russian import inner_quotes
from connector.errors import ConnectorError, HeldError
from connector.playbook.model import CLIENT, RESPONSIBLE
from connector.store import outbox
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue
from connector.store.outbox import Effect

log = logging.getLogger(__name__)

_NO_TITLES: Mapping[str, str] = MappingProxyType({})

#: When a task about missing data or a failure is due. The deal waits for it, so: today.
ASK_DUE = timedelta(hours=2)

#: Held effects tried again in one go; each costs a reading of its deal.
RECHECKED = 50


class Effects:
    """Job handler for effects. `tools` gives an account's tools for one effect."""

    def __init__(
        self,
        db: Database,
        queue: JobQueue,
        tools: Callable[[str], Tools],
        clock: Clock,
        base_url: str,
        titles: Callable[[], Mapping[str, str]] = lambda: _NO_TITLES,
    ) -> None:
        self._db = db
        self._queue = queue
        self._tools = tools
        self._clock = clock
        self._base_url = base_url
        self._titles = titles

    def describe(self, effect: Effect) -> str:
        """What the effect does, in Russian, with the titles that people gave to documents."""
        return describe(effect, self._titles())

    def handle(self, job: Job) -> None:
        """Run one effect. Raises what the action raised when it may be tried again."""
        with self._db.begin() as conn:
            effect = outbox.find(conn, job.args["effect_id"])
            if effect is None or effect.status in ("done", "dead", "cancelled"):
                return
            effect = outbox.start_attempt(conn, effect, self._clock.now())
        try:
            result = ACTIONS[effect.action](effect, self._tools(effect.account))
        except HeldError as error:
            self._hold(effect, error)
            return
        except DealGone as error:
            with self._db.begin() as conn:
                outbox.cancel(conn, effect, str(error), self._clock.now())
            return
        except Exception as error:
            # Of an error that is not ours only the kind is kept: its text may hold a secret.
            shown = str(error) if isinstance(error, ConnectorError) else type(error).__name__
            with self._db.begin() as conn:
                outbox.put_back(conn, effect, self._clock.now(), shown)
            raise
        with self._db.begin() as conn:
            if not outbox.finish(conn, effect, result, self._clock.now()):
                return
            self._release_followers(conn, effect)
            self._close_answered_asks(conn, effect)
        log.info(
            "effect done",
            extra={
                "action": "effect_done",
                "account": effect.account,
                "effect": effect.id,
                "kind": effect.action,
            },
        )

    def on_dead(self, job: Job, error: str) -> None:
        """The last attempt failed: the row says so, and the responsible user gets a task about it."""
        now = self._clock.now()
        with self._db.begin() as conn:
            effect = outbox.find(conn, job.args["effect_id"])
            if effect is None or effect.status not in ("ready", "sending"):
                return
            # What the attempt itself wrote down is fit to be shown; the worker's word may hold a secret.
            error = effect.error if effect.status == "ready" and effect.error else error
            outbox.bury(conn, effect, error, now)
            self._close_answered_asks(conn, effect)
            if effect.action in INTERNAL_ACTIONS or effect.deal_id is None:
                return
            page = f"{self._base_url}/deals/{effect.account}/{effect.deal_id}"
            text = (
                f"Не удалось: {self.describe(effect)}. Причина: {error[:500].rstrip('.')}. "
                f"Исправьте её и нажмите «Повторить»: {page}"
            )
            self._add_task(conn, effect, f"alarm:{effect.key}:{effect.attempts}", "alarm", text)

    def repeat(self, effect_id: int) -> bool:
        """Put a dead or held effect back to work; False when it is neither."""
        with self._db.begin() as conn:
            effect = outbox.find(conn, effect_id)
            if effect is None or effect.status not in ("dead", "held"):
                return False
            return self._try_again(conn, effect)

    def recheck_held(self, account: str) -> int:
        """Try held effects again without a signal from the CRM; how many. Some changes raise no event at all.

        Those that waited longest since their last try come first.
        """
        with self._db.begin() as conn:
            waiting = sorted(
                outbox.with_status(conn, "held", account, limit=1000), key=lambda e: e.updated_at
            )
            return sum(self._try_again(conn, effect) for effect in waiting[:RECHECKED])

    def _hold(self, effect: Effect, error: HeldError) -> None:
        now = self._clock.now()
        with self._db.begin() as conn:
            ask_key = self._ask(conn, effect, error) if error.missing and effect.deal_id else None
            if outbox.hold(conn, effect, error.reason, error.missing, ask_key, now):
                self._close_answered_asks(conn, effect)

    def _ask(self, conn: Connection, effect: Effect, error: HeldError) -> str:
        """One task for one set of missing data of a deal, however many effects wait for it; its key."""
        stem = f"ask:{effect.deal_id}:{_digest(sorted(field.name for field in error.missing))}"
        of_deal = outbox.of_deal(conn, effect.account, effect.deal_id or "")
        closed = {other.params["ask_key"] for other in of_deal if other.action == "close_ask"}
        asked = [other.key for other in of_deal if other.key.startswith(f"{stem}:")]
        still_open = [key for key in asked if key not in closed]
        if still_open:
            return still_open[-1]
        key = f"{stem}:{len(asked) + 1}"
        fields = "\n".join(f"• {field.where}" for field in error.missing)
        waiting = error.what or self.describe(effect)
        text = f"Заполните данные: без них не уйдёт {waiting}\n{fields}\nДальше всё уйдёт само."
        self._add_task(conn, effect, key, "ask", text)
        return key

    def _close_answered_asks(self, conn: Connection, effect: Effect) -> None:
        """Close each task about missing data of this deal that no unfinished effect refers to any more."""
        if effect.deal_id is None or effect.action in INTERNAL_ACTIONS:
            return
        of_deal = outbox.of_deal(conn, effect.account, effect.deal_id)
        # One that is being tried again may still find the same data missing.
        waiting = [other for other in of_deal if other.status in ("held", "ready", "sending")]
        needed = {other.result.get("ask_key") for other in waiting}
        for ask in of_deal:
            if ask.action != "ask" or ask.key in needed:
                continue
            close_id = outbox.add(
                conn,
                account=effect.account,
                key=f"close:{ask.key}",
                rule=ask.rule,
                action="close_ask",
                params={"ask_key": ask.key},
                deal_id=effect.deal_id,
                now=self._clock.now(),
            )
            if close_id is not None:
                self._enqueue(conn, effect.account, close_id, f"{effect.account}:{ask.key}")

    def _release_followers(self, conn: Connection, effect: Effect) -> None:
        """Effects of the same firing that were held for want of this one are tried again."""
        if effect.run_id is None:
            return
        for other in outbox.of_run(conn, effect.run_id):
            if other.status == "held":
                self._try_again(conn, other)

    def _try_again(self, conn: Connection, effect: Effect) -> bool:
        if not outbox.put_back(conn, effect, self._clock.now()):
            return False
        order_key = f"{effect.account}:{effect.key}"
        if effect.run_id is not None:
            order_key = f"{effect.account}:run:{effect.run_id}"
        self._enqueue(conn, effect.account, effect.id, order_key)
        return True

    def _add_task(self, conn: Connection, effect: Effect, key: str, action: str, text: str) -> None:
        now = self._clock.now()
        task_id = outbox.add(
            conn,
            account=effect.account,
            key=key,
            rule=effect.rule,
            action=action,
            params={"text": text, "due_at": (now + ASK_DUE).isoformat()},
            deal_id=effect.deal_id,
            now=now,
        )
        if task_id is not None:
            self._enqueue(conn, effect.account, task_id, f"{effect.account}:{key}")

    def _enqueue(self, conn: Connection, account: str, effect_id: int, order_key: str) -> None:
        self._queue.enqueue(
            conn, "effect", {"effect_id": effect_id}, account=account, order_key=order_key[:160]
        )


def describe(effect: Effect, titles: Mapping[str, str] = _NO_TITLES) -> str:
    """What the effect does, in Russian, for people: «документ „Счёт на оплату“», «письмо клиенту».

    titles: those of the kinds of documents.
    """
    params = effect.params
    match effect.action:
        case "document":
            return f"документ «{titles.get(params['kind'], params['kind'])}»"
        case "send":
            to = {CLIENT: " клиенту", RESPONSIBLE: " ответственному"}.get(params["to"], "")
            subject = effect.result.get("subject")
            return f"письмо{to} — {subject}" if subject else f"письмо{to}"
        case "task" | "ask" | "alarm" | "kit_alarm" | "person_task":
            return f"задача «{inner_quotes(params['text'].splitlines()[0])}»"
        case "note":
            return f"примечание «{inner_quotes(params['text'].splitlines()[0])}»"
        case "update":
            return f"изменение сделки: {_changes(params)}"
        case _:
            about = "ошибке в шаблонах" if "text" in params else "недостающих данных"
            return f"закрыть задачу о {about}"


def _changes(params: Mapping[str, Any]) -> str:
    """What an update changes: «этап «Договор отправлен», поле «Отрасль», теги»."""
    parts = [f"этап «{params['stage']}»"] if params.get("stage") else []
    if params.get("responsible"):
        parts.append(f"ответственный «{params['responsible']}»")
    parts += [f"поле «{name}»" for name in params.get("field_values", {})]
    if params.get("tags") or params.get("remove_tags"):
        parts.append("теги")
    return ", ".join(parts)


def _digest(names: list[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
