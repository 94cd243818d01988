"""Tasks for people: those that a rule gives, and our own about what is held or has failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connector.actions.base import Tools, search_from
from connector.errors import HeldError, MissingField
from connector.playbook.model import RESPONSIBLE
from connector.playbook.people import ADMIN, find_user
from connector.store import outbox
from connector.store.outbox import Effect

#: Whose task a mistake in the templates is: the first of these roles that the playbook has.
ALARMED = ("head_of_sales", "owner")


def give_task(effect: Effect, tools: Tools) -> Mapping[str, Any]:
    """Give a person a task about the deal. params: text, due_at (ISO 8601), to (a role of the playbook).

    A deal without a responsible user gives it to the user whose key the connector has.
    """
    card = tools.card(effect)
    to = effect.params.get("to", RESPONSIBLE)
    responsible_id = card.deal.responsible_id if to == RESPONSIBLE else _user_of(to, tools)
    return _give(effect, tools, card.deal.id, responsible_id)


def _give(effect: Effect, tools: Tools, deal_id: str | None, responsible_id: str | None) -> Mapping[str, Any]:
    task_id = tools.client.add_task(
        deal_id,
        effect.params["text"],
        responsible_id=responsible_id,
        due_at=datetime.fromisoformat(effect.params["due_at"]),
        may_exist=effect.may_exist,
        since=search_from(effect),
    )
    return {"task_id": task_id}


def _user_of(role: str, tools: Tools) -> str:
    user_id = tools.recipient(role).user_id
    if user_id is None:
        missing = MissingField(f"{role}.user", f"правила, раздел people, {role}: пользователь CRM")
        raise HeldError("некому дать задачу", [missing], what="задача")
    return user_id


def give_kit_alarm(effect: Effect, tools: Tools) -> Mapping[str, Any]:
    """Tell the head of sales that an edited template or rule is wrong. params: text, due_at.

    Without that role it is the owner's, then the first of `people`, then an administrator's.
    """
    roles = tools.playbook.people.roles
    role = next((name for name in (*ALARMED, *roles) if name in roles), None)
    users = tools.directory.users.values()
    admin = find_user(ADMIN, users)
    responsible_id = _user_of(role, tools) if role else admin.id if admin else None
    return _give(effect, tools, None, responsible_id)


def give_person_task(effect: Effect, tools: Tools) -> Mapping[str, Any]:
    """Give a person a task of no deal. params: text, due_at; user_id, or role of the playbook."""
    user_id = effect.params.get("user_id") or _user_of(effect.params["role"], tools)
    return _give(effect, tools, None, user_id)


def close_ask(effect: Effect, tools: Tools) -> Mapping[str, Any]:
    """Close a task that we gave: what it asked for is there now. params: ask_key; text, the task's result."""
    with tools.db.read() as conn:
        ask = outbox.by_key(conn, effect.account, effect.params["ask_key"])
    if ask is None or "task_id" not in ask.result:
        return {}
    tools.client.complete_task(
        ask.result["task_id"], effect.params.get("text", "Данные заполнены, документ ушёл.")
    )
    return {"task_id": ask.result["task_id"]}
