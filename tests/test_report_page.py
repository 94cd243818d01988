"""The page of a report: the words and pictures of the message, its deals, a link that can be taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfReader
from sqlalchemy import select

from connector.documents.pools import RenderPools
from connector.domain import CrmFile
from connector.edited import Edited, read
from connector.report_files import ReportFiles
from connector.report_pages import LINK_DAYS
from connector.reporting import FileMaker
from connector.reports.base import RenderedReport
from connector.store import report_pages as stored
from connector.store.database import Database
from connector.store.report_runs import RunKey
from connector.store.schema import outbox
from connector.web.report_page import report_pages
from tests.figures.past import ACCOUNT
from tests.reports.sales_past import AS_OF, ZONE, november
from tests.test_reporting import SLOT, TEMPLATES, Office


@pytest.fixture(scope="module")
def kit() -> Edited:
    return read(TEMPLATES)


@pytest.fixture(scope="module")
def make(kit: Edited) -> Iterator[FileMaker]:
    """Really drawn and typeset, equal reports once."""
    pools = RenderPools(1)
    files = ReportFiles(lambda: kit, pools.of)
    made: dict[str, tuple[list[CrmFile], str]] = {}

    def once(report: RenderedReport) -> tuple[list[CrmFile], str]:
        if report.html not in made:
            made[report.html] = files.make(report)
        return made[report.html]

    yield once
    pools.close()


@pytest.fixture
def office(db: Database, make: FileMaker) -> Office:
    with db.begin() as conn:
        november().facts(conn, AS_OF, ZONE)
    office = Office(db)
    office.reporting._make_files = make
    office.run()
    return office


@pytest.fixture
def browser(office: Office) -> FlaskClient:
    flask = Flask("pages", static_folder=None)
    flask.register_blueprint(report_pages(office.reporting._pages, office.clock))
    return flask.test_client()


def path_in(text: str) -> str:
    found = re.search(r"https://reports\.example\.ru(/r/[\w-]{27})\n", text)
    assert found
    return found[1]


def test_page_message_letter_and_file_say_the_same(
    office: Office, browser: FlaskClient, tmp_path: Path
) -> None:
    [(_, title, text)] = office.crm.posts
    [letter] = office.mail.letters
    page = browser.get(path_in(text))
    assert page.status_code == 200 and title in page.text
    assert letter.text == text and [p.name for p in letter.pictures] == ["chart-1.png", "chart-2.png"]
    assert "cid:chart-1.png" in letter.html and "report:page" not in letter.html + page.text + text
    word = path_in(text).rpartition("/")[2]
    pdf = browser.get(f"/r/{word}/report.pdf")
    assert pdf.mimetype == "application/pdf" and pdf.data == letter.attachments[0].content
    assert letter.attachments[0].name == f"{title}.pdf"
    (tmp_path / "report.pdf").write_bytes(pdf.data)
    printed = "".join(p.extract_text() for p in PdfReader(tmp_path / "report.pdf").pages)
    for money in re.findall(r"[\d\u00a0]+\u00a0₽", office.row().text):
        shown = money.strip("\u00a0")
        assert shown in page.text and shown in letter.html
        assert shown.replace("\u00a0", " ") in printed.replace("\u00a0", " ").replace("\n", " ")
    for picture in letter.pictures:
        assert f'src="{word}/{picture.name}"' in page.text
        assert browser.get(f"/r/{word}/{picture.name}").data == picture.content


def test_each_number_opens_its_deals(office: Office, browser: FlaskClient) -> None:
    path = path_in(office.crm.posts[0][2])
    links = set(re.findall(r'href="([\w-]+\?deals=\w+)"', browser.get(path).text))
    keys = {link.partition("=")[2] for link in links}
    assert {"month", "won", "lost", "created", "month_lost"} == keys
    for link in links:
        shown = browser.get(f"/r/{link}")
        ids = office.row().detail["content"]["deals"][link.partition("=")[2]][1]
        assert re.findall(r"https://crm\.example\.ru/leads/detail/(\w+)", shown.text) == ids
        assert f"Всего: {len(ids)}." in shown.text
    assert browser.get(f"{path}?deals=nothing").status_code == 404


def test_the_link_is_in_no_index_runs_out_and_is_nowhere_in_the_store(
    office: Office, browser: FlaskClient
) -> None:
    path = path_in(office.crm.posts[0][2])
    page = browser.get(path)
    assert "noindex" in page.headers["X-Robots-Tag"] and page.headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert path.rpartition("/")[2] not in str(office.row())
    office.clock.sleep(timedelta(days=LINK_DAYS + 2))
    gone = browser.get(path)
    assert gone.status_code == 410 and "больше не действует" in gone.text and "₽" not in gone.text
    with office.db.begin() as conn:
        assert stored.prune(conn, office.clock.now() - timedelta(days=LINK_DAYS)) == 3


def test_a_link_taken_back_opens_nothing_and_is_not_given_out_again(
    office: Office, browser: FlaskClient
) -> None:
    path = path_in(office.crm.posts[0][2])
    pages = office.reporting._pages
    assert pages.withdraw(ACCOUNT, "owner_daily") == 1
    for address in (path, f"{path}/report.pdf", f"{path}/chart-1.png", f"{path}?deals=won"):
        assert browser.get(address).status_code == 410
    assert pages.url(RunKey(ACCOUNT, "owner_daily", SLOT)) == ""
    office.clock.sleep(timedelta(days=1))
    office.run(SLOT + timedelta(days=1))
    assert browser.get(path_in(office.crm.posts[1][2])).status_code == 200


def test_guessing_is_told_nothing_and_soon_slowed_down(browser: FlaskClient) -> None:
    answers = [browser.get(f"/r/{'x' * 26}{n % 10}").status_code for n in range(12)]
    assert answers[0] == 404 and answers[-1] == 429
    assert browser.get("/r/" + "x" * 5000).status_code in (404, 429)


def test_a_report_goes_out_without_pictures_rather_than_not_and_the_owner_is_told(office: Office) -> None:
    office.reporting._make_files = office.make_files
    office.file_problem = "charts/pace.vl.json: график не рисуется"
    office.clock.sleep(timedelta(days=1))
    office.run(SLOT + timedelta(days=1))
    assert len(office.crm.posts) == 2
    assert "график не рисуется" in office.mail.alarms[0].text
    # The report itself has arrived: that closes nothing, somebody still has to mend the chart.
    with office.db.read() as conn:
        tasks = conn.execute(select(outbox.c.status).where(outbox.c.action == "person_task")).scalars().all()
    assert tasks == ["ready"]
