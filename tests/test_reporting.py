"""A report reaches each of its people once, over restarts, failing channels and two workers at once."""

from __future__ import annotations

import io
import json
import random
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from sqlalchemy import select, update

from connector.clock import FixedClock
from connector.config import MailConfig
from connector.delivery.base import Letter, Messenger
from connector.delivery.email import EmailChannel
from connector.domain import CrmFile, Period
from connector.errors import ConfigError, CrmError, DeliveryError, RenderError, RetryLater
from connector.figures.snapshot import Snapshots
from connector.playbook.model import CompanyCalendar, People, Person, Playbook, ReportSchedule, Target
from connector.report_alarm import ReportAlarm
from connector.report_pages import ReportPages
from connector.reporting import LATE_LIMIT, Reporting
from connector.reports.base import RenderedReport
from connector.reports.render import read_templates
from connector.store import report_runs
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue
from connector.store.report_runs import CLAIM, RunKey
from connector.store.schema import outbox, users
from connector.store.schema import report_runs as report_runs_table
from connector.targets import Targets
from tests.figures.past import ACCOUNT
from tests.reports.sales_past import AS_OF, ZONE, november

TEMPLATES = Path(__file__).parents[1] / "templates"

#: 09:00 of 24 November 2026 in Moscow.
SLOT = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)

PLAYBOOK = Playbook(
    targets=(
        Target(
            month=date(2026, 11, 1),
            revenue=Decimal(2_100_000),
            split={"Анна": Decimal(60), "Борис": Decimal(40)},
        ),
    ),
    reports=(
        ReportSchedule(report="owner_daily", at="09:00", on="working_days", to="owner"),
        ReportSchedule(report="loss_reasons", at="09:30", on="monday", to=["head_of_sales", "owner"]),
    ),
    people=People(
        roles={
            "owner": Person(user="Анна", email="owner@example.ru"),
            "head_of_sales": Person(user="Борис"),
            "marketing": Person(email="marketing@example.ru"),
            "nobody": Person(user="Вера"),
        }
    ),
    calendar=CompanyCalendar(),
)


class Crash(BaseException):
    """The process is gone; nobody catches it."""


class FakeCrm:
    """Keeps posts; finds its own trace like a real client does."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str, str]] = []
        self.calls: list[dict[str, Any]] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def post_report(
        self,
        title: str,
        text: str,
        *,
        to_user_id: str,
        files: Sequence[object] = (),
        may_exist: bool = False,
        since: datetime,
    ) -> str:
        self.calls.append({"to": to_user_id, "may_exist": may_exist, "since": since})
        self.before()
        post = (to_user_id, title, text)
        if not (may_exist and post in self.posts):
            self.posts.append(post)
        self.after()
        return str(self.posts.index(post))


class FakeMail:
    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.alarms: list[Letter] = []
        self.before: Callable[[], None] = lambda: None

    def send(self, letter: Letter) -> None:
        if "не доставлен" in letter.subject:
            self.alarms.append(letter)
            return
        self.before()
        self.letters.append(letter)


class FakeChat:
    """Takes three parts; the second is refused the first time."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.is_down = True

    def parts(self, title: str, text: str) -> list[str]:
        return ["1", "2", "3"]

    def send(self, part: str, pictures: Sequence[object] = ()) -> None:
        if part == "2" and self.is_down:
            self.is_down = False
            raise DeliveryError("telegram", "сервис не принял сообщение", permanent=False)
        self.got.append(part)


class Office:
    """One installation with fakes at the ends."""

    def __init__(self, db: Database, templates: Path = TEMPLATES) -> None:
        self.db = db
        self.clock = FixedClock(SLOT)
        self.crm, self.mail = FakeCrm(), FakeMail()
        self.folder = tempfile.TemporaryDirectory()
        self.messengers: dict[str, Messenger] = {}
        self.file_problem = ""
        self.reporting = Reporting(
            db,
            {ACCOUNT: self.crm},  # type: ignore[dict-item]
            self.mail,
            "Отчёты <connector@example.ru>",
            lambda: read_templates(templates),
            lambda: PLAYBOOK,
            Targets(db, lambda: PLAYBOOK, lambda _: None, self.clock),
            lambda _: None,
            Snapshots(Path(self.folder.name)),
            self.clock,
            self.make_files,
            ReportPages(
                db,
                {ACCOUNT: "0" * 64},
                "https://reports.example.ru",
                lambda: read_templates(templates),
                lambda _, deal_id: f"https://crm.example.ru/leads/detail/{deal_id}",
                self.clock,
            ),
            {ACCOUNT: self.messengers},
            ReportAlarm(
                db,
                JobQueue(db, self.clock),
                lambda: PLAYBOOK,
                self.mail,
                "connector@example.ru",
                self.clock,
            ),
        )

    def make_files(self, report: RenderedReport) -> tuple[list[CrmFile], str]:
        """Drawn and typeset elsewhere: `tests/test_report_files.py`."""
        names = [f"chart-{number}.png" for number, _ in enumerate(report.charts, 1)]
        return [CrmFile(name, b"picture", "image/png") for name in names], self.file_problem

    def run(self, slot: datetime = SLOT, to: Sequence[str] = ("owner",)) -> list[str]:
        return [a.key for a in self.reporting.run(ACCOUNT, "owner_daily", slot, to)]

    def row(self, slot: datetime = SLOT, report: str = "owner_daily") -> Any:
        with self.db.read() as conn:
            return report_runs.find(conn, RunKey(ACCOUNT, report, slot))


@pytest.fixture
def office(db: Database) -> Iterator[Office]:
    with db.begin() as conn:
        november().facts(conn, AS_OF, ZONE)
    yield Office(db)


def fail(error: BaseException) -> Callable[[], None]:
    def failing() -> None:
        raise error

    return failing


def nothing() -> None:
    """The fault is over."""


CRM_DOWN = CrmError("retry", account=ACCOUNT, call="post_report", status=502)


def test_it_is_posted_and_mailed_once_with_one_text(office: Office) -> None:
    assert office.run() == ["crm:1", "email:owner@example.ru"]
    assert office.run() == []
    [(to, title, text)] = office.crm.posts
    [letter] = office.mail.letters
    assert (to, letter.to, letter.subject, letter.text) == ("1", "owner@example.ru", title, text)
    assert "2\u00a0100\u00a0000" in text and "2\u00a0100\u00a0000" in letter.html
    row = office.row()
    more = "\nПодробно, со сделками: https://reports.example.ru/r/"
    assert row.status == "sent" and text.startswith(row.text + more)
    assert row.detail["deliveries"]["crm:1"]["id"] == "0"


def test_a_failing_crm_does_not_stop_the_mail_and_is_tried_again(office: Office) -> None:
    office.crm.before = fail(CRM_DOWN)
    with pytest.raises(CrmError):
        office.run()
    assert len(office.mail.letters) == 1
    assert (office.row().status, "502" in office.row().detail["error"]) == ("failed", True)
    office.crm.before = nothing
    office.clock.sleep(timedelta(minutes=5))
    office.run()
    assert (len(office.crm.posts), len(office.mail.letters), office.row().status) == (1, 1, "sent")
    # The second call looks for the trace of the first.
    assert [(call["may_exist"], call["since"]) for call in office.crm.calls] == [(False, SLOT), (True, SLOT)]


def test_a_failure_goes_the_second_way_at_once_is_told_once_and_closed_when_it_heals(office: Office) -> None:
    office.crm.before = fail(CRM_DOWN)
    for _ in range(2):
        with pytest.raises(CrmError):
            office.reporting.run(ACCOUNT, "owner_daily", SLOT, ["owner"], by=["crm"])
    # The CRM alone was asked for: the same person has it by mail, and knows why, before any repeat.
    assert [letter.to for letter in office.mail.letters] == ["owner@example.ru"]
    [alarm] = office.mail.alarms
    assert alarm.to == "owner@example.ru" and "502" in alarm.text
    office.crm.before = nothing
    office.reporting.run(ACCOUNT, "owner_daily", SLOT, ["owner"], by=["crm"])
    with office.db.read() as conn:
        [task] = conn.execute(select(outbox).where(outbox.c.action == "person_task"))
    assert (task.status, len(office.crm.posts), len(office.mail.letters)) == ("cancelled", 1, 1)


def test_a_messenger_gets_each_part_once_over_a_failure(office: Office) -> None:
    chat = FakeChat()
    office.messengers["telegram"] = chat
    with pytest.raises(DeliveryError):
        office.reporting.run(ACCOUNT, "owner_daily", SLOT, ["owner"], by=["telegram"])
    assert chat.got == ["1"] and len(office.crm.posts) + len(office.mail.letters) == 1
    reached = office.reporting.run(ACCOUNT, "owner_daily", SLOT, ["owner"], by=["telegram"])
    assert [a.key for a in reached] == ["telegram:"] and chat.got == ["1", "2", "3"]
    assert "3 из 3" in "\n".join(office.reporting.receipts(ACCOUNT, "owner_daily"))
    with pytest.raises(ConfigError, match="NOTIFY_VIBER"):
        office.reporting.run(ACCOUNT, "owner_daily", SLOT + timedelta(hours=1), ["owner"], by=["viber"])


def test_a_trace_is_looked_for_from_the_whole_second_on(office: Office) -> None:
    slot = SLOT + timedelta(microseconds=900_000)
    office.clock.move_to(slot)
    office.run(slot)
    assert office.crm.calls[0]["since"] == SLOT


def test_a_refused_letter_does_not_stop_the_crm_and_is_no_success(office: Office) -> None:
    office.mail.before = fail(DeliveryError("email", "550 no such user", permanent=True))
    with pytest.raises(DeliveryError):
        office.run()
    assert len(office.crm.posts) == 1 and office.row().status == "failed"


def test_of_two_failures_the_one_that_can_heal_decides(office: Office) -> None:
    office.crm.before = fail(CrmError("rejected", account=ACCOUNT, call="post_report"))
    office.mail.before = fail(RetryLater(timedelta(seconds=3)))
    with pytest.raises(RetryLater):
        office.run()


def test_an_unexpected_error_is_kept_without_its_text(office: Office) -> None:
    office.crm.before = fail(ValueError("https://portal.example/rest/1/secret/"))
    with pytest.raises(ValueError, match="secret"):
        office.run()
    assert "secret" not in json.dumps(office.row().detail)
    assert len(office.mail.letters) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_round_the_post_neither_repeats_nor_loses(office: Office, moment: str) -> None:
    setattr(office.crm, moment, fail(Crash()))
    with pytest.raises(Crash):
        office.run()
    setattr(office.crm, moment, nothing)
    # Nobody knows yet that the process is gone.
    with pytest.raises(RetryLater) as busy:
        office.run()
    assert busy.value.wait == CLAIM
    office.clock.sleep(CLAIM)
    office.run()
    assert (len(office.crm.posts), len(office.mail.letters), office.row().status) == (1, 1, "sent")


def test_a_crash_after_the_letter_is_repeated_with_the_same_message_id(office: Office) -> None:
    original = office.mail.send

    def send_and_die(letter: Letter) -> None:
        original(letter)
        raise Crash

    office.mail.send = send_and_die  # type: ignore[method-assign]
    with pytest.raises(Crash):
        office.run()
    office.mail.send = original  # type: ignore[method-assign]
    office.clock.sleep(CLAIM)
    office.run()
    assert len(office.crm.posts) == 1
    assert len({letter.message_id for letter in office.mail.letters}) == 1


def test_every_attempt_says_what_the_first_one_said(office: Office, db: Database) -> None:
    office.crm.before = fail(CRM_DOWN)
    with pytest.raises(CrmError):
        office.run()
    with db.begin() as conn:
        conn.execute(update(users).where(users.c.user_id == "2").values(name="Иное имя"))
    office.crm.before = nothing
    office.run()
    assert office.crm.posts[0][2] == office.mail.letters[0].text


def test_a_worker_that_lost_its_claim_stops(office: Office, db: Database) -> None:
    other = Office(db)

    def stall() -> None:
        office.crm.before = nothing
        office.clock.sleep(CLAIM)
        other.clock.move_to(office.clock.now())
        other.run()

    office.crm.before = stall
    with pytest.raises(report_runs.ClaimLost):
        office.run()
    assert office.mail.letters == [] and len(other.mail.letters) == 1
    assert office.row().status == "sent"


def test_sixty_days_with_crashes_and_faults_bring_each_report_once(office: Office) -> None:
    rng = random.Random(1)
    # What the report says is the business of other tests.
    office.reporting.preview = lambda _, report, at: RenderedReport(f"{report} {at}", f"{at}\n", "<p></p>")  # type: ignore[method-assign]
    faults = [fail(Crash()), fail(CRM_DOWN), fail(RetryLater(timedelta(seconds=9))), *[nothing] * 12]
    for number in range(60):
        slot = SLOT + timedelta(days=number)
        office.clock.move_to(slot)
        while True:
            office.crm.before, office.crm.after = rng.choices(faults, k=2)
            office.mail.before = rng.choice(faults)
            try:
                office.run(slot)
                break
            except (Crash, CrmError, RetryLater):
                office.clock.sleep(CLAIM)
        assert office.run(slot) == []
    with office.db.read() as conn:
        statuses = [row.status for row in conn.execute(select(report_runs_table))]
    assert statuses == ["sent"] * 60
    titles = [title for _, title, _ in office.crm.posts]
    # Weekends are told of on Monday, so titles of neighbouring days may be alike; the posts are not fewer.
    assert len(office.mail.letters) == len({letter.message_id for letter in office.mail.letters}) == 60
    assert len(titles) == 60


def test_slots_are_apart_and_a_late_one_is_skipped(office: Office) -> None:
    office.run()
    office.clock.sleep(timedelta(days=1))
    office.run(SLOT + timedelta(days=1))
    assert len(office.crm.posts) == 2
    office.clock.sleep(timedelta(days=1) + LATE_LIMIT + timedelta(seconds=1))
    late = SLOT + timedelta(days=2)
    assert office.run(late) == []
    assert office.row(late).status == "skipped"
    assert office.run(late) == [] and len(office.crm.posts) == 2


def test_a_run_that_began_in_time_is_finished_after_the_limit(office: Office) -> None:
    office.crm.before = fail(CRM_DOWN)
    with pytest.raises(CrmError):
        office.run()
    office.crm.before = nothing
    office.clock.sleep(LATE_LIMIT * 2)
    office.run()
    assert len(office.crm.posts) == 1


def test_one_person_in_two_roles_gets_one(office: Office) -> None:
    assert office.run(to=["owner", "head_of_sales", "marketing", "owner"]) == [
        "crm:1",
        "crm:2",
        "email:owner@example.ru",
        "email:marketing@example.ru",
    ]


def test_a_report_for_nobody_is_an_error(office: Office, db: Database) -> None:
    with db.begin() as conn:
        conn.execute(update(users).values(is_active=False))
    with pytest.raises(ConfigError, match="некому отправить"):
        office.run(to=["nobody"])
    assert office.row().status == "failed"


def test_a_broken_template_is_recorded_and_raised(db: Database, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "owner_daily.txt").write_text("{{ month.no_such_thing }}")
    (tmp_path / "reports" / "owner_daily.html").write_text("")
    with db.begin() as conn:
        november().facts(conn, AS_OF, ZONE)
    office = Office(db, tmp_path)
    with pytest.raises(RenderError, match="no_such_thing"):
        office.run()
    assert office.row().status == "failed" and office.crm.posts == []


def job(name: str, slot: datetime) -> Job:
    return SimpleNamespace(account=ACCOUNT, args={"report": name, "name": name, "slot": slot.isoformat()})  # type: ignore[return-value]


def test_a_schedule_s_slot_runs_on_its_days_only(office: Office) -> None:
    sunday = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
    office.reporting.handle(job("owner_daily", sunday))
    assert office.row(sunday) is None
    office.reporting.handle(job("gone from the playbook", SLOT))
    assert office.crm.posts == []
    office.reporting.handle(job("owner_daily", SLOT))
    assert [post[0] for post in office.crm.posts] == ["1"]


def test_a_preview_sends_and_stores_nothing(office: Office) -> None:
    rendered = office.reporting.preview(ACCOUNT, "owner_daily", SLOT + timedelta(hours=9))
    assert "33\u00a0%" in rendered.text
    assert office.crm.calls == [] and office.row() is None


def test_sending_by_hand_reaches_all_whom_the_schedules_name(office: Office) -> None:
    said = office.reporting.send_now(ACCOUNT, "loss_reasons")
    assert said == "Отправлено: в CRM пользователю 2, в CRM пользователю 1, на почту owner@example.ru"
    with pytest.raises(ConfigError, match="в расписании нет отчёта"):
        office.reporting.send_now(ACCOUNT, "no_such_report")


def test_a_table_takes_its_plans_from_the_targets(office: Office) -> None:
    out = io.StringIO()
    november_days = Period(date(2026, 11, 1), date(2026, 12, 1))
    office.reporting.write_table(ACCOUNT, "pace", november_days, "json", out)
    rows = {(row["manager"], row["metric"]): row for row in json.loads(out.getvalue())}
    assert rows["1", "revenue"]["plan"] == 1_260_000 and rows["all", "revenue"]["plan"] == 2_100_000


def test_a_letter_passes_a_real_mail_server(office: Office) -> None:

    received = []

    class Box(Message):
        def handle_message(self, message: Any) -> None:
            received.append(message)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(Box(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        config = MailConfig("127.0.0.1", port, "connector@example.ru", security="none")
        office.reporting._email = EmailChannel(config)
        office.run()
    finally:
        server.stop()
    [message] = received
    assert message["Message-ID"] == office.row().detail["deliveries"]["email:owner@example.ru"]["id"]
    parts = {part.get_content_type(): part.get_payload(decode=True) for part in message.walk()}
    assert "2\u00a0100\u00a0000\u00a0₽" in parts["text/plain"].decode()
    assert "2\u00a0100\u00a0000\u00a0₽" in parts["text/html"].decode()
