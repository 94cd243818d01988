"""Reports go out: made from facts, posted into the CRM first, then sent; once an account, report and slot.

A report shows the account up to the midnight before its slot, however late it runs. Each delivery is marked
before and after it goes out: a restart repeats none that arrived, and asks the CRM about the one in between.
What does not arrive goes by a second way at once, and the owner of the system is told.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.delivery.base import Channel, Letter, Messenger, message_id
from connector.domain import CrmFile, Period
from connector.errors import ConfigError, ConnectorError, CrmError, DeliveryError, Problem, RetryLater
from connector.figures.base import Facts
from connector.figures.export import Format
from connector.figures.plan import Plan, month_start, next_month, sum_of_known
from connector.figures.snapshot import Snapshots
from connector.figures.tables import FIGURES, Question
from connector.history_import import Loaded
from connector.planning.words import lag_line
from connector.playbook.model import Playbook
from connector.playbook.schedule import is_due_on
from connector.report_alarm import ReportAlarm
from connector.report_pages import PDF, ReportPages
from connector.reports import REPORTS
from connector.reports.base import PAGE, DealSet, RenderedReport, ReportInput
from connector.reports.recipients import Recipient, resolve
from connector.reports.render import render
from connector.store import alarms, report_pages, report_runs
from connector.store import facts as stored
from connector.store.database import Database
from connector.store.jobs import Job
from connector.store.report_runs import Run, RunKey
from connector.targets import Targets

log = logging.getLogger(__name__)

#: A run that starts later than this after its slot is recorded as skipped.
LATE_LIMIT = timedelta(hours=12)


#: Ways that are not messengers: a person's CRM, everybody's CRM (Bitrix24's live feed, the note of amoCRM's
#: service deal), a person's mail.
CRM, FEED, EMAIL = "crm", "feed", "email"

#: Makes a report's files; and what went wrong with one of them.
FileMaker = Callable[[RenderedReport], tuple[Sequence[CrmFile], str]]


@dataclass(frozen=True, slots=True)
class Address:
    """One person on one channel, or a whole channel («» in `to`). `key` names the delivery in the record."""

    channel: str
    to: str

    @property
    def key(self) -> str:
        return f"{self.channel}:{self.to}"


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one run delivers to everybody: its words, its files, the address of its page."""

    report: RenderedReport
    files: Sequence[CrmFile]
    url: str

    @property
    def pictures(self) -> list[CrmFile]:
        return [file for file in self.files if file.mime_type == "image/png"]

    @property
    def text(self) -> str:
        more = f"\nПодробно, со сделками: {self.url}\n" if self.url else ""
        return self.report.text + more

    @property
    def named_files(self) -> list[CrmFile]:
        """The files as people shall see them: the PDF under the report's title."""
        title = "".join(" " if char in '\\/:*?"<>|\n' else char for char in self.report.title).strip()
        return [
            CrmFile(f"{title}.pdf", file.content, file.mime_type) if file.name == PDF else file
            for file in self.files
        ]

    @property
    def digest(self) -> str:
        """SHA-256 of the words: what the receipt says was sent."""
        return hashlib.sha256(f"{self.report.title}\0{self.report.text}".encode()).hexdigest()


class Reporting:
    """See the module. `sender` is the mail address that letters come from; messengers: account -> by name."""

    def __init__(
        self,
        db: Database,
        clients: Mapping[str, CrmClient],
        email: Channel,
        sender: str,
        templates: Callable[[], Mapping[str, str]],
        playbook: Callable[[], Playbook],
        targets: Targets,
        loaded: Callable[[str], Loaded | None],
        snapshots: Snapshots,
        clock: Clock,
        make_files: FileMaker,
        pages: ReportPages,
        messengers: Mapping[str, Mapping[str, Messenger]],
        alarm: ReportAlarm,
    ) -> None:
        self._make_files = make_files
        self._pages = pages
        self._messengers = messengers
        self._alarm = alarm
        self._db = db
        self._clients = clients
        self._email = email
        self._sender = sender
        self._templates = templates
        self._playbook = playbook
        self._targets = targets
        self._loaded = loaded
        self._snapshots = snapshots
        self._clock = clock

    def handle(self, job: Job) -> None:
        """Run the report of a schedule's slot; a slot on a day that the schedule leaves out does nothing.

        args: name of the schedule, slot (ISO 8601). Raises what `run` raises.
        """
        playbook = self._playbook()
        slot = datetime.fromisoformat(job.args["slot"])
        schedule = next((s for s in playbook.reports if s.name == job.args["name"]), None)
        if schedule is None:
            log.info(
                "schedule is gone from the playbook", extra={"action": "report_gone", "report": job.args}
            )
            return
        with self._facts(job.account, slot) as facts:
            zone = ZoneInfo(schedule.zone) if schedule.zone else facts.timezone
        day = slot.astimezone(zone).date()
        if is_due_on(schedule, day, playbook.working_calendar):
            self.run(job.account, schedule.report, slot, schedule.to, name=schedule.name, by=schedule.by)

    def run(
        self,
        account: str,
        report: str,
        slot: datetime,
        recipients: Sequence[str],
        *,
        name: str | None = None,
        by: Sequence[str] = (CRM, EMAIL),
    ) -> list[Address]:
        """Send the report of that slot to the roles in `recipients`; the addresses it has reached by now.

        Empty when the slot was sent before or is skipped as too late. name: of the schedule, when two of
        them send one report. A failing recipient does not stop the others: he gets it by a second way, and
        the owner of the system is told. Raises the first failure that a repeat can heal, else the first
        (RetryLater, CrmError, DeliveryError); RenderError; ConfigError.
        """
        key = RunKey(account, name or report, slot)
        with self._db.begin() as conn:
            run = report_runs.claim(conn, key, self._clock.now())
            if run is None:
                return []
            if run.is_new and self._clock.now() - slot > LATE_LIMIT:
                report_runs.finish(conn, run, "skipped", self._clock.now(), error="слот опоздал")
                log.warning("report skipped as too late", extra={"action": "report_skipped", "report": key})
                return []
        try:
            found = self._recipients(account, recipients)
            addresses = self._addresses(account, found, by, recipients)
            parcel = self._parcel(run, report)
        except Exception as error:
            self._finish(run, "failed", _shown(error))
            self._alarm.raise_(key, _shown(error))
            raise
        failures: list[Exception] = []
        for address in addresses:
            failure = self._deliver(run, address, parcel)
            if failure is not None:
                failures.append(failure)
                if not isinstance(failure, RetryLater):  # a full rate limit is no failure: its turn comes
                    self._second_way(run, address, parcel, found, addresses)
        self._finish(run, "failed" if failures else "sent", "; ".join(map(_shown, failures)))
        if failures:
            if told := [_shown(error) for error in failures if not isinstance(error, RetryLater)]:
                self._alarm.raise_(key, "; ".join(dict.fromkeys(told)))
            raise next((error for error in failures if _can_heal(error)), failures[0])
        self._alarm.close(key)
        log.info("report sent", extra={"action": "report_sent", "report": key.report, "account": account})
        return addresses

    def preview(self, account: str, report: str, moment: datetime) -> RenderedReport:
        """The report as it goes out on the local day of `moment`; nothing is sent or stored."""
        loaded = self._loaded(account)
        moment = loaded.as_of if loaded else moment
        with self._facts(account, moment) as facts:
            midnight = facts.midnight(facts.day(moment))
            facts = facts.as_at(midnight)
            is_working = facts.is_working_day if loaded else self._playbook().working_calendar.is_working_day
            given = ReportInput(
                facts,
                self._targets.plans(facts, (facts.last_day,)),
                is_working,
                self._targets.of_day(facts, facts.last_day + timedelta(days=1)),
                _lagging(facts),
            )
            data = REPORTS[report].build(given)
        return render(REPORTS[report], data, self._templates())

    def send_now(self, account: str, report: str) -> str:
        """Send the report at once to all whom the playbook's schedules name; a Russian line about it."""
        roles = dict.fromkeys(role for s in self._playbook().reports if s.report == report for role in s.to)
        if not roles:
            raise ConfigError([Problem("reports", f"в расписании нет отчёта «{report}»: некому отправить")])
        by = dict.fromkeys(way for s in self._playbook().reports if s.report == report for way in s.by)
        reached = self.run(account, report, self._clock.now(), list(roles), by=list(by))
        return "Отправлено: " + ", ".join(
            f"{_CHANNELS.get(a.channel, a.channel)} {a.to}".strip() for a in reached
        )

    def receipts(self, account: str, report: str, limit: int = 10) -> list[str]:
        """Lines about the latest slots of that report, newest first: what went to whom, when, how."""
        names = {report, *(s.name for s in self._playbook().reports if s.report == report)}
        with self._db.read() as conn:
            rows = report_runs.latest(conn, account, names, limit)
            row = stored.account_row(conn, account)
        zone = ZoneInfo(row.timezone if row else "Europe/Moscow")
        lines = []
        for run in rows:
            lines.append(f"{run.slot.astimezone(zone):%d.%m.%Y %H:%M} {run.report}: {_STATUS[run.status]}")
            for key, mark in run.detail.get("deliveries", {}).items():
                way, _, to = key.partition(":")
                said = f"  {_CHANNELS.get(way, way)} {to}".rstrip()
                if mark["status"] == "sent":
                    at = datetime.fromisoformat(mark["at"]).astimezone(zone)
                    said += f": {at:%d.%m.%Y %H:%M:%S}, {mark['id']}, SHA-256 {mark['sha256'][:16]}"
                else:
                    said += f": не дошло, попыток {mark['attempts']}: {mark.get('error', 'без ответа')}"
                lines.append(said)
        return lines or ["Этот отчёт ещё не отправлялся."]

    def write_table(
        self,
        account: str,
        table: str,
        period: Period,
        format: Format,
        out: TextIO,
        *,
        as_of: datetime | None = None,
        goal: Decimal | None = None,
        cohort: Period | None = None,
    ) -> None:
        """Write one figure table, as it stands at `as_of` (by default now), to `out`.

        An account that history files fill stands at the moment that they tell of, in their own working days,
        with the plans and the goal that they name. goal: the revenue that the reverse funnel starts from, by
        default the plan of the month that the period begins in; cohort: whose rates it takes.
        """
        loaded = self._loaded(account)
        moment = as_of or (loaded.as_of if loaded else self._clock.now())
        with self._facts(account, moment) as facts:
            playbook = self._playbook()
            is_working = facts.is_working_day if loaded else playbook.working_calendar.is_working_day
            months = _months(min(period.start, facts.last_day), max(period.end, facts.last_day))
            plans = self._targets.plans(facts, months)
            if goal is None:
                goal = loaded.goal if loaded else _revenue(plans, period.start)
            question = Question(period, plans, is_working, goal, cohort)
            FIGURES[table].write(FIGURES[table].compute(facts, question), format, out)

    @contextmanager
    def _facts(self, account: str, as_of: datetime) -> Iterator[Facts]:
        with self._db.read() as conn:
            row = stored.connected_account(conn, account)
            with self._snapshots.lazily(conn, account) as snapshot:
                yield Facts(conn, account, ZoneInfo(row.timezone), as_of, snapshot)

    def _recipients(self, account: str, roles: Sequence[str]) -> list[Recipient]:
        with self._db.read() as conn:
            users = list(stored.directory(conn, account).users.values())
        known = resolve(self._playbook().people, users)
        return [known[role] for role in roles if role in known]

    def _addresses(
        self, account: str, found: Sequence[Recipient], by: Sequence[str], roles: Sequence[str]
    ) -> list[Address]:
        """Where the report goes, the CRM first, each address once. Raises ConfigError when it is nowhere."""
        addresses = [Address(FEED, "")] if FEED in by else []
        addresses += _in_crm(found) if CRM in by else []
        addresses += _by_mail(found) if EMAIL in by else []
        for way in by:
            if way in (FEED, CRM, EMAIL):
                continue
            if way not in self._messengers.get(account, {}):
                missing = f"канал «{way}» не настроен: задайте NOTIFY_{way.upper()} в .env"
                raise ConfigError([Problem("reports", missing)])
            addresses.append(Address(way, ""))
        if not addresses:
            problem = (
                f"отчёт некому отправить: для ролей {', '.join(roles)} нет ни пользователя CRM, ни почты"
            )
            raise ConfigError([Problem("people", problem)])
        return list(dict.fromkeys(addresses))

    def _parcel(self, run: Run, report: str) -> Parcel:
        """What the run says: made once, kept for every later attempt."""
        if run.content is None:
            made = self.preview(run.key.account, report, run.key.slot)
            files, problem = self._make_files(made)
            run.content = {
                "title": made.title,
                "text": made.text,
                "html": made.html,
                "deals": {name: [of.title, list(of.ids)] for name, of in made.deals.items()},
            }
            with self._db.begin() as conn:
                report_runs.keep(conn, run, self._clock.now(), text=made.text)
                report_pages.keep_files(conn, run.key, files)
            if problem:
                self._alarm.raise_(run.key, f"отчёт ушёл без графиков и PDF: {problem}", about=":files")
        kept = run.content
        deals = {name: DealSet(title, tuple(ids)) for name, (title, ids) in kept.get("deals", {}).items()}
        with self._db.read() as conn:
            files = report_pages.files(conn, run.key)
        rendered = RenderedReport(kept["title"], kept["text"], kept["html"], deals=deals)
        return Parcel(rendered, files, self._pages.url(run.key))

    def _deliver(self, run: Run, address: Address, parcel: Parcel) -> Exception | None:
        """Send to one address unless it has the report; what went wrong, or None."""
        mark = run.deliveries.get(address.key, {})
        if mark.get("status") == "sent":
            return None
        mark = {**mark, "status": "sending", "attempts": mark.get("attempts", 0) + 1}
        mark.pop("error", None)
        self._mark(run, address, mark)
        try:
            sent_id = self._send(run, address, parcel, mark)
        except Exception as error:
            extra = {"action": "report_delivery_failed", "report": run.key.report, "channel": address.channel}
            log.warning("report not delivered: %s", _shown(error), extra=extra)
            self._mark(run, address, {**mark, "status": "failed", "error": _shown(error)})
            return error
        at = self._clock.now().isoformat()
        self._mark(run, address, {**mark, "status": "sent", "id": sent_id, "at": at, "sha256": parcel.digest})
        return None

    def _second_way(
        self,
        run: Run,
        failed: Address,
        parcel: Parcel,
        people: Sequence[Recipient],
        addresses: Sequence[Address],
    ) -> None:
        """The report by another way to whom the first did not reach; once, whatever becomes of the first."""
        of = [
            person
            for person in people
            if failed.to in ("", person.user_id if failed.channel == CRM else person.email)
        ]
        others = [a for a in (*_by_mail(of), *_in_crm(of)) if a.channel != failed.channel]
        for other in others:
            if other in addresses or self._deliver(run, other, parcel) is None:
                return

    def _send(self, run: Run, address: Address, parcel: Parcel, mark: dict[str, Any]) -> str:
        title = parcel.report.title
        if address.channel in (CRM, FEED):
            return self._clients[run.key.account].post_report(
                title,
                parcel.text,
                to_user_id=address.to,
                files=parcel.named_files,
                may_exist=mark["attempts"] != 1,
                # What is older is no trace of this slot's run; CRMs round to whole seconds.
                since=run.key.slot.replace(microsecond=0),
            )
        if address.channel == EMAIL:
            return self._mail(run, address, parcel)
        return self._message(run, address, parcel, mark)

    def _mail(self, run: Run, address: Address, parcel: Parcel) -> str:
        key = f"report:{run.key.report}:{run.key.slot.isoformat()}:{address.to}"
        html = parcel.report.html.replace("asset:chart-", "cid:chart-")
        letter = Letter(
            to=address.to,
            subject=parcel.report.title,
            text=parcel.text,
            html=html.replace(PAGE, parcel.url) if parcel.url else without_page(html),
            message_id=message_id(run.key.account, key, self._sender),
            sender=self._sender,
            attachments=[file for file in parcel.named_files if file.mime_type != "image/png"],
            pictures=parcel.pictures,
        )
        self._email.send(letter)
        return letter.message_id

    def _message(self, run: Run, address: Address, parcel: Parcel, mark: dict[str, Any]) -> str:
        """Send the parts that a messenger has not got yet; how many there are."""
        messenger = self._messengers[run.key.account][address.channel]
        parts = messenger.parts(parcel.report.title, parcel.text)
        for number in range(mark.get("parts", 0), len(parts)):
            messenger.send(parts[number], parcel.pictures[:1] if number == 0 else ())
            mark["parts"] = number + 1
            self._mark(run, address, mark)
        return f"{len(parts)} из {len(parts)}"

    def _mark(self, run: Run, address: Address, mark: dict[str, object]) -> None:
        run.deliveries[address.key] = mark
        with self._db.begin() as conn:
            report_runs.keep(conn, run, self._clock.now())

    def _finish(self, run: Run, status: report_runs.RunStatus, error: str) -> None:
        with self._db.begin() as conn:
            report_runs.finish(conn, run, status, self._clock.now(), error=error)


_STATUS = {
    "sent": "отправлен",
    "failed": "отправлен не всем",
    "skipped": "пропущен: опоздал",
    "running": "отправляется",
}
_CHANNELS = {CRM: "в CRM пользователю", FEED: "в CRM для всех", EMAIL: "на почту"}


def without_page(html: str) -> str:
    """The same words, with no link to a page that cannot be had."""
    return re.sub(rf'<a href="{PAGE}[^"]*"[^>]*>(.*?)</a>', r"\1", html)


def _lagging(facts: Facts) -> list[str]:
    """Headlines of open alarms that nobody has put off beyond today."""
    today = facts.last_day + timedelta(days=1)
    return [
        lag_line(a.kind, a.metric, facts.user_names.get(a.person, "отдел"), a.detail)
        for a in alarms.still_open(facts.conn, facts.account)
        if a.snoozed_until is None or a.snoozed_until <= today
    ]


def _in_crm(people: Iterable[Recipient]) -> list[Address]:
    return [Address(CRM, person.user_id) for person in people if person.user_id]


def _by_mail(people: Iterable[Recipient]) -> list[Address]:
    return [Address(EMAIL, person.email) for person in people if person.email]


def _revenue(plans: Sequence[Plan], day: date) -> Decimal | None:
    """What the plans of the day's month want to win; None when there are none."""
    month = month_start(day)
    return sum_of_known([p.value for p in plans if (p.month, p.metric) == (month, "revenue")])


def _months(start: date, end: date) -> list[date]:
    """First days of the months from `start` to `end`, and of the one that a week may reach into."""
    months = [month_start(start)]
    while months[-1] <= end:
        months.append(next_month(months[-1]))
    return months


def _can_heal(error: Exception) -> bool:
    """Whether trying again may help; an unexpected error is given the chance."""
    if isinstance(error, CrmError):
        return error.kind in ("retry", "reauth")
    return not (isinstance(error, DeliveryError) and error.permanent)


def _shown(error: Exception) -> str:
    """What may be kept of an error: of one that is not ours only the kind, its text may hold a secret."""
    return str(error) if isinstance(error, ConnectorError) else type(error).__name__
