"""The story of a deal as a page: shown by the connector's own pages and in a tab of the CRM's card."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from flask import render_template

from connector import explain
from connector.effects import Effects
from connector.explain import status_text, trace_text
from connector.playbook.model import HAPPENINGS
from connector.store import archive, facts
from connector.store.database import Database
from connector.store.facts import AccountRow


def story_page(db: Database, effects: Effects, account: str, deal_id: str, *, in_tab: bool = False) -> str:
    """HTML. `in_tab`: for a reader who has not given our password, so without buttons and files."""
    with db.read() as conn:
        row = facts.account_row(conn, account)
        documents = archive.of_deal(conn, account, deal_id)
    return render_template(
        "deal.html",
        story=explain.tell(db, account, deal_id),
        documents=documents,
        happenings=HAPPENINGS,
        in_tab=in_tab,
        local=lambda moment: local_time(moment, row),
        amount_text=explain.amount_text,
        event_text=explain.event_text,
        describe=effects.describe,
        status_text=status_text,
        trace_text=trace_text,
    )


def local_time(moment: datetime, row: AccountRow | None) -> datetime:
    """`moment` as the account's clocks show it."""
    return moment.astimezone(ZoneInfo(row.timezone)) if row else moment
