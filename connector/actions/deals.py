"""Changes to the deal itself: stage, responsible user, custom fields, tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.actions.base import Tools
from connector.domain import DealChanges
from connector.errors import HeldError
from connector.playbook.people import find_user
from connector.store import outbox
from connector.store.outbox import Effect


def change_deal(effect: Effect, tools: Tools) -> Mapping[str, Any]:
    """Change the deal as a rule says. params: those of `UpdateAction`, pipeline_id and stage_id beside them.

    That it is sent is written down before it is sent: a hook about it may come before the CRM's answer, and
    must find our move known as ours. A repeat that finds the deal changed takes the change for its own.
    """
    params = effect.params
    if params.get("stage") and "stage_id" not in params:
        raise HeldError(f"в CRM нет этапа «{params['stage']}»: исправьте правило «{effect.rule}»")
    responsible = params.get("responsible")
    changes = DealChanges(
        pipeline_id=params.get("pipeline_id"),
        stage_id=params.get("stage_id"),
        responsible_id=_user_of(responsible, tools) if responsible else None,
        fields=params.get("field_values", {}),
        add_tags=tuple(params.get("tags", ())),
        remove_tags=tuple(params.get("remove_tags", ())),
    )
    sent_before = "sent_at" in effect.result
    tried_at = tools.clock.now().isoformat()
    # The first attempt may have got through, the latest may: the move is made somewhere between the two.
    sent = {"sent_at": effect.result.get("sent_at") or tried_at, "tried_at": tried_at}
    with tools.db.begin() as conn:
        outbox.remember(conn, effect.id, {**effect.result, **sent})
    changed = tools.client.update_deal(effect.deal_id or "", changes)
    return {**sent, "changed": changed or sent_before}


def _user_of(who: str, tools: Tools) -> str:
    """A role of the playbook, else a user of the CRM by name, id or e-mail. Raises HeldError."""
    if who in tools.playbook.people.roles:
        user_id = tools.recipient(who).user_id
        if user_id is None:
            raise HeldError(f"у роли «{who}» нет пользователя CRM")
        return user_id
    user = find_user(who, tools.directory.users.values())
    if user is None or not user.is_active:
        raise HeldError(f"в CRM нет активного пользователя «{who}»")
    return user.id
