"""The document's page for the client: who may open it, what counts as opening, what reaches the manager."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from connector.app import App
from connector.clock import FixedClock
from connector.config import AccountConfig, Config, MailConfig
from connector.documents.freeze import freeze
from connector.store import archive, document_links, happenings, outbox
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from tests.documents.hostile import hostile_deal, payloads, shape
from tests.documents.samples import build

TEMPLATES = Path(__file__).parents[2] / "templates"
CRM = "https://example.amocrm.ru"
CLICK = {"Sec-Fetch-User": "?1", "Sec-Fetch-Mode": "navigate"}


class Office:
    """An installation with documents and a visitor."""

    def __init__(self, database_url: str, clock: FixedClock) -> None:
        account = AccountConfig("main", "amocrm", CRM, "token", "0123456789abcdefghij")
        config = Config(
            accounts=(account,),
            database_url=database_url,
            templates_dir=TEMPLATES,
            base_url="https://docs.example.ru/connector",
            mail=MailConfig("127.0.0.1", 25, "sales@example.ru"),
            web_host="127.0.0.1",
            web_port=0,
            worker_threads=1,
            render_workers=1,
            admin_password="",
            log_level="WARNING",
        )
        self.clock = clock
        self.app = App(config, clock)
        self.db: Database = self.app.db
        self.app.directories.ensure("main")
        self.client: FlaskClient = self.app.web().test_client()
        self._made = 0

    def issue(
        self, kind: str = "proposal", *, replaces: int | None = None, **changes: Any
    ) -> ArchivedDocument:
        """A kept document with a file of each format; its texts are those of the samples."""
        self._made += 1
        context = build(kind=kind, number=f"2026-{self._made:04}", **changes)
        template = self.app.kit.documents[kind]
        files = [
            SimpleNamespace(format=f, name=f"Документ.{f}", content=b"%PDF-" + f.encode())
            for f in template.formats
        ]
        with self.db.begin() as conn:
            document_id = archive.save(
                conn,
                account="main",
                outbox_key=f"made:{self._made}",
                deal_id="101",
                kind=kind,
                title=template.title,
                series=f"{kind}/x",
                ordinal=self._made,
                number=f"2026-{self._made:04}",
                issued_on=date(2026, 11, 24),
                total=Decimal("415151.00"),
                currency="RUB",
                template_sha256="",
                context=freeze(context),
                files=files,
                now=self.clock.now(),
                replaces_id=replaces,
            )
        return self.document(document_id)

    def document(self, document_id: int) -> ArchivedDocument:
        with self.db.read() as conn:
            found = archive.by_id(conn, "main", document_id)
        assert found is not None
        return found

    def path(self, document: ArchivedDocument) -> str:
        return self.app.links.url(document).removeprefix("https://docs.example.ru/connector")

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, data: Mapping[str, str] | None = None, **headers: str) -> TestResponse:
        return self.client.post(
            path, data=data or {}, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    def happened(self) -> list[str]:
        with self.db.read() as conn:
            return [fact.what for fact in happenings.of_deal(conn, "main", "101")]

    def told(self) -> list[tuple[str, str]]:
        """(action, text) of what goes into the deal."""
        with self.db.read() as conn:
            return [(effect.action, effect.params["text"]) for effect in outbox.of_deal(conn, "main", "101")]


@pytest.fixture
def office(database_url: str, clock: FixedClock) -> Any:
    made = Office(database_url, clock)
    yield made
    made.app.close()


def press(page: str) -> str:
    found = re.search(r'name="press" value="([^"]+)"', page)
    assert found
    return found[1]


def test_page_says_what_the_document_is_and_lets_nothing_in_from_elsewhere(office: Office) -> None:
    answer = office.get(office.path(office.issue("contract")))
    assert answer.status_code == 200
    shown = answer.text.replace("\xa0", " ")
    for said in ("Договор поставки № 2026-0001", "от 24 ноября 2026 г.", "415 151,00 ₽", "Скачать Word"):
        assert said in shown
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    addresses = re.findall(r'(?:src|href|action|data-[a-z]+)="([^"]*)"', answer.text)
    assert len(addresses) > 5
    assert [address for address in addresses if "//" in address and not address.startswith("data:")] == []
    assert answer.headers["X-Robots-Tag"].startswith("noindex")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_words_of_a_hostile_deal_and_visitor_change_no_tag(office: Office) -> None:
    def page(kind: str, texts: list[str]) -> str:
        path = office.path(office.issue(kind, card=hostile_deal(texts)))
        office.post(path + "/accept", {"name": texts[0][:100].encode("utf-8", "replace").decode()})
        return office.get(path).text

    kinds = ("proposal", "contract", "invoice", "act")
    harmless = {kind: shape(page(kind, ["Слово"])) for kind in kinds}
    for kind, text in zip(cycle(kinds), payloads("http://127.0.0.1:9", Path("/etc/hostname")), strict=False):
        html = page(kind, [text])
        assert shape(html) == harmless[kind]
        for address in re.findall(r'(?:src|href|action|data-[a-z]+)="([^"]*)"', html):
            assert "//" not in address or address.startswith("data:image/")


def test_fetching_the_page_is_not_opening_it(office: Office) -> None:
    path = office.path(office.issue())
    office.client.head(path)
    office.get(path, User_Agent="TelegramBot (like TwitterBot)")
    office.get(path, Sec_Purpose="prefetch;prerender")
    office.get(f"{path}/pdf")
    office.get(f"{path}/pdf", Sec_Fetch_User="?1", Sec_Purpose="prefetch")
    office.client.head(f"{path}/pdf", headers={"Sec-Fetch-Mode": "no-cors"})
    assert office.happened() == []


def test_seen_document_is_told_once_however_often_it_is_seen(office: Office) -> None:
    path = office.path(office.issue())
    for _ in range(3):
        assert office.post(f"{path}/opened", Sec_Fetch_Site="same-origin").status_code == 204
    assert office.happened() == ["document.opened"]
    assert office.told() == [
        ("note", "Клиент открыл документ «Коммерческое предложение № 2026-0001 от 24.11.2026».")
    ]


def test_file_fetched_by_a_click_is_opening_but_not_by_our_own_manager(office: Office) -> None:
    path = office.path(office.issue())
    page = office.get(path, Referer=f"{CRM}/leads/detail/101").text
    assert "data-opened" not in page
    office.client.get(f"{path}/pdf?own=1", headers=CLICK)
    assert "/pdf?own=1" in page
    assert office.happened() == []
    answer = office.client.get(f"{path}/pdf", headers=CLICK)
    assert (answer.data, answer.mimetype) == (b"%PDF-pdf", "application/pdf")
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert "sandbox" not in answer.headers["Content-Security-Policy"]
    assert office.happened() == ["document.opened"]
    saved = office.get(f"{path}/pdf?download=1")
    assert saved.headers["Content-Disposition"].startswith("attachment")


def test_acceptance_is_kept_once_with_its_name_and_no_address(office: Office) -> None:
    document = office.issue()
    path = office.path(document)
    answer = office.post(f"{path}/accept", {"name": " Анна\u202e <b>Дубравина</b> "})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"../{path[3:]}?done=accepted")
    office.post(f"{path}/accept", {"name": "Другой"})
    assert office.happened() == ["document.opened", "document.accepted"]
    assert office.told()[1] == (
        "note",
        "Клиент принял документ «Коммерческое предложение № 2026-0001 от 24.11.2026». "
        "Назвал себя: Анна <b>Дубравина</b>.",
    )
    with office.db.read() as conn:
        fact = happenings.of_deal(conn, "main", "101")[1]
    assert (fact.data, fact.at) == ({"name": "Анна <b>Дубравина</b>"}, office.clock.now())
    page = office.get(f"{path}?done=accepted").text
    assert "Документ принят" in page
    assert "&lt;b&gt;Дубравина" in page
    assert "/accept" not in page


def test_question_is_a_task_once_a_press_and_keeps_its_words_when_refused(office: Office) -> None:
    path = office.path(office.issue())
    pressed = press(office.get(path).text)
    sent = {"question": "Можно ли\r\nв рассрочку?", "press": pressed}
    assert office.post(f"{path}/question", sent).status_code == 303
    assert office.post(f"{path}/question", sent).status_code == 303
    assert office.told()[1:] == [
        (
            "task",
            "Ответить на вопрос клиента: Коммерческое предложение № 2026-0001 от 24.11.2026\n"
            "Можно ли\nв рассрочку?",
        )
    ]
    long = "дл " * 700
    refused = office.post(f"{path}/question", {"question": long, "press": "p" * 16})
    assert refused.status_code == 400
    assert "длиннее 2000 знаков" in refused.text
    assert long in refused.text
    assert office.post(f"{path}/question", {"question": " \n", "press": "p" * 16}).status_code == 400
    assert office.post(f"{path}/question", {"question": "x", "press": "?"}).status_code == 400
    assert office.happened().count("document.question") == 1


def test_flood_of_questions_ends_at_ten_a_day(office: Office) -> None:
    path = office.path(office.issue())
    codes = [
        office.post(f"{path}/question", {"question": "?", "press": f"press-{at:04}"}).status_code
        for at in range(11)
    ]
    assert codes == [303] * 10 + [429]
    office.clock.sleep(timedelta(days=1, seconds=1))
    assert office.post(f"{path}/question", {"question": "?", "press": "press-next"}).status_code == 303


def test_form_of_another_site_does_nothing(office: Office) -> None:
    path = office.path(office.issue())
    for deed in ("accept", "question", "opened"):
        answer = office.post(
            f"{path}/{deed}", {"question": "x", "press": "p" * 16}, Sec_Fetch_Site="cross-site"
        )
        assert answer.status_code == 403
    assert office.happened() == []


def test_body_that_is_no_form_of_ours_is_refused_unread(office: Office) -> None:
    path = office.path(office.issue())
    answer = office.post(f"{path}/question", {"question": "я" * 40_000, "press": "p" * 16})
    assert answer.status_code == 413
    assert office.happened() == []


@pytest.mark.parametrize("word", ["x", "../etc", "a" * 27, "я" * 30, "a" * 5000])
def test_unknown_word_opens_a_page_in_words(office: Office, word: str) -> None:
    answer = office.get(f"/d/{word}")
    assert answer.status_code == 404
    if "/" not in word:
        assert "Такой страницы нет" in answer.text
        assert office.post(f"/d/{word}/accept").status_code == 404


def test_guessing_is_slowed_down_and_a_real_link_still_opens(office: Office) -> None:
    path = office.path(office.issue())
    codes = [office.get(f"/d/guess-{at}").status_code for at in range(12)]
    assert codes == [404] * 10 + [429] * 2
    assert office.get(path).status_code == 200
    # Behind our own proxy visitors are told apart by its word, which they cannot forge.
    forged = office.get("/d/guess", X_Forwarded_For="1.1.1.1, 203.0.113.9")
    assert forged.status_code == 404
    office.clock.sleep(timedelta(minutes=1))
    assert office.get("/d/guess").status_code == 404


def test_flood_is_answered_with_a_time_to_wait(office: Office) -> None:
    path = office.path(office.issue())
    last = [office.get(path) for _ in range(61)][-1]
    assert (last.status_code, last.headers["Retry-After"]) == (429, "60")
    assert "Слишком много обращений" in last.text


def test_link_holds_until_the_end_of_its_last_day_and_another_one_can_be_given(office: Office) -> None:
    document = office.issue()  # a proposal: 14 days
    path = office.path(document)
    office.clock.move_to(office.clock.now().replace(day=8, month=12, hour=20, minute=59))
    assert office.get(path).status_code == 200
    office.clock.sleep(timedelta(minutes=1))  # midnight in Moscow
    gone = office.get(path)
    assert gone.status_code == 410
    assert "Срок ссылки истёк" in gone.text
    assert office.get(f"{path}/pdf").status_code == 410
    assert office.post(f"{path}/accept").status_code == 410
    again = office.path(document)
    assert again != path
    assert office.get(again).status_code == 200
    assert office.get(path).status_code == 410


def test_document_past_its_term_can_be_read_but_not_accepted(office: Office) -> None:
    document = office.issue()
    office.clock.sleep(timedelta(days=15))
    path = office.path(document)
    assert "/accept" not in office.get(path).text
    assert office.post(f"{path}/accept").status_code == 409
    assert office.happened() == []


def test_void_document_leads_to_its_correction_and_else_says_so(office: Office) -> None:
    old = office.issue()
    path = office.path(old)
    new = office.issue(replaces=old.id)
    page = office.get(path)
    assert page.status_code == 410
    assert f'href="{office.app.links.url(new)}"' in page.text
    office.app.register.void("main", new.id, "Отказ")
    page = office.get(path)
    assert "больше не действует" in page.text
    assert "Отказ" not in page.text
    assert office.get(f"{path}/pdf").status_code == 410


def test_link_taken_back_stays_so_until_a_person_gives_another(office: Office) -> None:
    document = office.issue()
    path = office.path(document)
    assert office.app.links.withdraw("main", document.id) == 1
    assert office.get(path).status_code == 410
    assert office.app.links.url(document) == ""
    given = office.app.links.renew("main", document.id)
    assert given is not None
    assert office.get(path).status_code == 410
    assert office.get(office.path(document)).status_code == 200
    assert office.app.links.renew("main", 999) is None


def test_store_does_not_know_the_word_of_a_link(office: Office) -> None:
    document = office.issue()
    word = office.path(document)[3:]
    assert len(word) >= 27  # 160 bits
    assert office.path(document)[3:] == word
    with office.db.read() as conn:
        link = document_links.latest(conn, "main", document.id)
        assert link is not None
        assert word not in repr(link)
        assert document_links.by_digest(conn, word) is None


def test_new_secret_of_the_account_leaves_the_clients_links_alone(office: Office) -> None:
    document = office.issue()
    path = office.path(document)
    links = cast(Any, office.app.links)
    links._secrets = {"main": "another"}
    again = office.path(document)
    assert again != path
    assert [office.get(address).status_code for address in (path, again)] == [200, 200]


def test_payment_button_shows_where_there_is_something_to_pay(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice = office.issue("invoice")
    assert "Оплатить" not in office.get(office.path(invoice)).text

    def pay(document: ArchivedDocument) -> str:
        return f"https://pay.example/{document.number}"

    monkeypatch.setattr(office.app.client_page, "_pay_url", pay)
    page = office.get(office.path(invoice)).text
    assert 'href="https://pay.example/2026-0001"' in page
    assert "/accept" not in page  # not among the invoice's buttons
    assert "Оплатить" not in office.get(office.path(office.issue("contract"))).text
