"""A note in the deal's timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.actions.base import Tools, search_from
from connector.store.outbox import Effect


def add_note(effect: Effect, tools: Tools) -> Mapping[str, Any]:
    """Write a note into the deal. params: text."""
    note_id = tools.client.add_note(
        effect.deal_id or "", effect.params["text"], may_exist=effect.may_exist, since=search_from(effect)
    )
    return {"note_id": note_id}
