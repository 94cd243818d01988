"""Drafts: of a deal or of an invented one, marked on every page, without a number and without a trace."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest
import requests
from sqlalchemy import func, select

from connector.documents.sample_deals import SAMPLES
from connector.sandbox.app import Sandbox
from connector.store.schema import documents, numbers, outbox
from tests.commands.typed import typed
from tests.e2e.programs import TEMPLATES, crm_settings, mail_settings
from tests.e2e.stand import Stand


@pytest.fixture(scope="module", params=["amocrm", "bitrix24"])
def stand(
    request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    file = tmp_path_factory.mktemp("preview") / "connector.db"
    with Stand(sandbox, request.param, f"sqlite:///{file}") as stand:
        yield stand


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pages(file: Path | bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(as_bytes(file))).pages]


def as_bytes(file: Path | bytes) -> bytes:
    return file if isinstance(file, bytes) else file.read_bytes()


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_needs_no_crm_and_every_page_says_that_it_is_a_draft(sample: str, here: Path) -> None:
    said = typed("preview", "contract", "--sample", sample, env={"TEMPLATES_DIR": str(TEMPLATES)})
    assert said.code == 0, said.err
    found = pages(here / "Черновик. Договор поставки.pdf")
    assert len(found) > 2
    assert all("ЧЕРНОВИК" in text for text in found)
    with zipfile.ZipFile(here / "Черновик. Договор поставки.docx") as word:
        assert "ЧЕРНОВИК" in word.read("word/document.xml").decode()


def test_a_letter_of_a_sample_is_printed_and_written(here: Path) -> None:
    said = typed(
        *("preview", "invoice_sent", "--sample", "ooo", "--output", "letter.html"),
        env={"TEMPLATES_DIR": str(TEMPLATES)},
    )
    assert said.code == 0, said.err
    assert "Тема: Счёт № 2026-0001" in said.out
    assert "Анна Олеговна, здравствуйте!" in (here / "letter.html").read_text("utf-8")


def test_a_deal_is_shown_as_it_is_now_with_what_it_lacks_and_where_to_fill_it_in(
    stand: Stand, here: Path
) -> None:
    deal_id = stand.add_deal(inn="", amount=None)
    stand.settle()
    before = traces(stand)
    env = settings(stand)
    said = typed("preview", "contract", "--deal", str(deal_id), "--output", "draft.pdf", env=env)
    assert said.code == 0, said.err
    assert "Реквизиты → ИНН" in said.out
    assert "Сделка → Товары" in said.out
    text = "\n".join(pages(here / "draft.pdf"))
    assert "[клиент.инн]" in text
    assert "ООО «Ромашка»" in text
    assert (here / "draft.docx").exists()
    letter = typed("preview", "invoice_sent", "--deal", str(deal_id), "--output", "a.html", env=env)
    assert "Тема: Счёт № черновик" in letter.out

    page = requests.get(f"{stand.base_url}/preview/main/{deal_id}/contract", timeout=30)
    assert page.status_code == 200
    assert "Реквизиты → ИНН" in page.text
    file = requests.get(f"{stand.base_url}/preview/main/{deal_id}/contract/pdf", timeout=30)
    assert all("ЧЕРНОВИК" in text for text in pages(file.content))
    assert traces(stand) == before


def test_the_deals_page_leads_to_its_drafts(stand: Stand) -> None:
    deal_id = stand.add_deal()
    stand.settle()
    story = requests.get(f"{stand.base_url}/deals/main/{deal_id}", timeout=30).text
    assert f'href="/preview/main/{deal_id}/invoice"' in story
    page = requests.get(f"{stand.base_url}/preview/main/{deal_id}/nothing", timeout=30)
    assert page.status_code == 404
    gone = requests.get(f"{stand.base_url}/preview/main/999999/invoice", timeout=30)
    assert gone.status_code == 502
    assert "в CRM нет сделки 999999" in gone.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("preview", "invoice"), "назовите сделку"),
        (("preview", "invoise", "--sample", "ooo"), "может быть, «invoice»?"),
    ],
)
def test_wrong_words_are_a_sentence(words: tuple[str, ...], message: str, here: Path) -> None:
    said = typed(*words, env={"TEMPLATES_DIR": str(TEMPLATES)})
    assert said.code != 0
    assert message in said.err
    assert list(here.iterdir()) == []


def settings(stand: Stand) -> dict[str, str]:
    return {
        **crm_settings(stand.sandbox, stand.crm),
        **mail_settings(stand.sandbox),
        "DATABASE_URL": stand.config.database_url,
        "TEMPLATES_DIR": str(TEMPLATES),
    }


def traces(stand: Stand) -> list[int]:
    """Rows that a draft must not add to, and notes of the CRM."""
    with stand.app.db.read() as conn:
        counts = [
            int(conn.execute(select(func.count()).select_from(table)).scalar_one())
            for table in (documents, numbers, outbox)
        ]
    return [*counts, len(stand.portal.notes)]
