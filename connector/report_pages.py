"""The page of a sent report, for everybody who has its link: the very words and pictures that were sent.

The link is a secret word that follows from the account's key and the run, so that it can be written into
every message although the store keeps only its digest. Knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from connector.clock import Clock
from connector.domain import CrmFile
from connector.links import LONGEST_WORD, digest_of, secret_word
from connector.reports.base import PAGE, DealLink, DealPage
from connector.reports.render import render_deals
from connector.store import facts, report_pages, report_runs
from connector.store.database import Database
from connector.store.report_pages import ReportLink
from connector.store.report_runs import RunKey

#: A link holds for so many days after its report; the report's files are kept as long.
LINK_DAYS = 60

PDF = "report.pdf"

State = Literal["open", "unknown", "closed"]


@dataclass(frozen=True, slots=True)
class ReportView:
    """What a secret word opens: the page of a run, or why it does not. html: with `{word}/…` addresses."""

    state: State
    html: str = ""
    key: RunKey | None = None


class ReportPages:
    """Pages of all accounts of one store.

    secrets: account -> its key for links. deal_url: where a deal of an account opens in the CRM.
    """

    def __init__(
        self,
        db: Database,
        secrets: Mapping[str, str],
        base_url: str,
        templates: Callable[[], Mapping[str, str]],
        deal_url: Callable[[str, str], str],
        clock: Clock,
    ) -> None:
        self._db = db
        self._secrets = secrets
        self._base_url = base_url.rstrip("/")
        self._templates = templates
        self._deal_url = deal_url
        self._clock = clock

    def url(self, key: RunKey) -> str:
        """The address of the run's page, a secret; "" when it was taken back or is long past."""
        now, expires_at = self._clock.now(), self._expiry(key)
        with self._db.read() as conn:
            link = report_pages.latest(conn, key)
        if expires_at <= now or (link is not None and link.withdrawn_at is not None):
            return ""
        serial = link.serial if link else 1
        while link is None or link.digest != digest_of(self._word(key, serial)):
            # The first link, or the account has got another secret since.
            serial = link.serial + 1 if link else 1
            with self._db.begin() as conn:
                report_pages.add_link(conn, key, serial, digest_of(self._word(key, serial)), expires_at, now)
                link = report_pages.latest(conn, key)
            serial = link.serial if link else serial
        return f"{self._base_url}/r/{self._word(key, serial)}"

    def withdraw(self, account: str, report: str) -> int:
        """Take back every link to that schedule's reports sent so far; how many there were."""
        with self._db.begin() as conn:
            return report_pages.withdraw(conn, account, report, self._clock.now())

    def look(self, word: str) -> ReportView:
        """The report's page; «closed» when its link ran out or was taken back."""
        link = self._find(word)
        if link is None:
            return ReportView("unknown")
        with self._db.read() as conn:
            row = report_runs.find(conn, link.key)
        if not link.holds_at(self._clock.now()) or row is None or "content" not in row.detail:
            return ReportView("closed")
        html = row.detail["content"]["html"].replace("asset:chart-", f"{word}/chart-").replace(PAGE, word)
        return ReportView("open", html, link.key)

    def deals(self, view: ReportView, word: str, name: str) -> str | None:
        """The list of deals behind one number of the page; None when it has no such number."""
        assert view.key is not None, "only an open page has deals"
        key = view.key
        with self._db.read() as conn:
            row = report_runs.find(conn, key)
            found = row.detail["content"].get("deals", {}).get(name) if row else None
            if found is None:
                return None
            title, ids = found
            stored = facts.deal_rows(conn, key.account, ids)
            users = facts.directory(conn, key.account).users
            account = facts.account_row(conn, key.account)
        lines = []
        for deal_id in ids:
            deal = stored.get(deal_id)
            user = users.get(deal.responsible_id or "") if deal else None
            lines.append(
                DealLink(
                    name=(deal.name if deal else "") or f"Сделка {deal_id}",
                    manager=user.name if user else "без ответственного",
                    amount=deal.amount if deal else None,
                    currency=(deal.currency if deal else None) or (account.currency if account else "RUB"),
                    url=self._deal_url(key.account, deal_id),
                )
            )
        html = render_deals(DealPage(title=title, lines=tuple(lines)), self._templates())
        return html.replace(PAGE, word)

    def file(self, view: ReportView, name: str) -> CrmFile | None:
        """One file of the page, as it was sent."""
        assert view.key is not None, "only an open page has files"
        with self._db.read() as conn:
            return next((file for file in report_pages.files(conn, view.key) if file.name == name), None)

    def _find(self, word: str) -> ReportLink | None:
        if len(word) > LONGEST_WORD:
            return None
        with self._db.read() as conn:
            return report_pages.by_digest(conn, digest_of(word))

    def _word(self, key: RunKey, serial: int) -> str:
        text = f"report:{key.account}:{key.report}:{key.slot.isoformat()}:{serial}"
        return secret_word(self._secrets[key.account], text)

    def _expiry(self, key: RunKey) -> datetime:
        """The end of the last day, on the account's clocks."""
        with self._db.read() as conn:
            row = facts.account_row(conn, key.account)
        zone = ZoneInfo(row.timezone if row else "Europe/Moscow")
        last = key.slot.astimezone(zone).date() + timedelta(days=LINK_DAYS)
        return datetime.combine(last + timedelta(days=1), time(), zone)
