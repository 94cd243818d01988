"""Salesbots, started on a deal. Must not know what they say.

Source: Kommo developers' docs, page «Salesbot» (v4); amoCRM developers' docs, page «Salesbot» (v2).
"""

from __future__ import annotations

from connector.crm.amocrm.api import AmoApi
from connector.errors import CrmError

#: The older method's number for «a deal».
LEAD = 2


def start_bot(api: AmoApi, bot_id: str, deal_id: str) -> None:
    """Start that Salesbot on the deal. CrmError kind rejected when the account has no such bot.

    amoCRM gives no trace of a bot that was started, so this is never repeated by itself: a second start would
    write to the client twice. Accounts without the newer method are asked by the older one.
    """
    if not bot_id.isdecimal():
        raise _no_such_bot(api, bot_id)
    try:
        api.start(f"/api/v4/bots/{bot_id}/run", {"entity_id": int(deal_id), "entity_type": "leads"})
        return
    except CrmError as error:
        if error.kind != "not_found" and error.status != 405:
            raise
    task = {"bot_id": int(bot_id), "entity_id": int(deal_id), "entity_type": LEAD}
    try:
        api.start("/api/v2/salesbot/run", [task])
    except CrmError as error:
        if error.kind != "not_found" and not error.detail.startswith("bot_id"):
            raise
        raise _no_such_bot(api, bot_id) from error


def _no_such_bot(api: AmoApi, bot_id: str) -> CrmError:
    return CrmError(
        "rejected",
        account=api.account,
        call="POST /api/v4/bots/{id}/run",
        code="NO_SUCH_BOT",
        detail=f"the account has no Salesbot {bot_id[:40]}",
    )
