"""The table of actions: one line an action. What a rule may say and what the connector does by itself."""

from __future__ import annotations

from connector.actions.base import ActionRunner
from connector.actions.deals import change_deal
from connector.actions.documents import make_document
from connector.actions.letters import send_letter
from connector.actions.notes import add_note
from connector.actions.tasks import close_ask, give_kit_alarm, give_person_task, give_task

#: What the connector decides by itself: asking for missing data, closing that task, telling of a failure
#: and of a mistake in the templates, asking why a number lags.
INTERNAL_ACTIONS: dict[str, ActionRunner] = {
    "ask": give_task,
    "close_ask": close_ask,
    "alarm": give_task,
    "kit_alarm": give_kit_alarm,
    "person_task": give_person_task,
}

#: All actions by the name in `outbox.action`; those of rules are the keys of `playbook.model.ACTIONS`.
ACTIONS: dict[str, ActionRunner] = {
    "document": make_document,
    "send": send_letter,
    "task": give_task,
    "update": change_deal,
    "note": add_note,
    **INTERNAL_ACTIONS,
}
