"""A stranger's text in every mapped field: nothing is asked for, no file is opened, words stay words."""

from __future__ import annotations

import io
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree
from pypdf import PdfReader

from connector.documents.clean import clean_line
from connector.documents.context import FAULTS, Issued
from connector.documents.docx import check_package
from connector.documents.messages import render_message
from connector.documents.render import RenderPool
from connector.domain import DealCard
from tests.documents.hostile import OF_SUMS, hostile_deal, payloads, shape
from tests.documents.reading import docx_text, pdf_text, squeezed
from tests.documents.samples import DAY, DEAL, build, kit

KINDS = tuple(kit().documents)
ISSUED = tuple(Issued(kind, "Документ", "1", DAY, DEAL.amount, "https://x.example/d/w") for kind in KINDS)


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[tuple[Path, threading.Event]]:
    """A file that notices being opened: a pipe, whose writing end opens only together with a reading one."""
    path, was_opened, is_over = tmp_path / "secret.txt", threading.Event(), threading.Event()
    os.mkfifo(path)

    def wait() -> None:
        with path.open("wb"):
            if not is_over.is_set():
                was_opened.set()

    watcher = threading.Thread(target=wait, daemon=True)
    watcher.start()
    yield path, was_opened
    is_over.set()
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    watcher.join(5)


def turned(texts: list[str], by: int) -> list[str]:
    return texts[by % len(texts) :] + texts[: by % len(texts)]


def test_no_document_asks_for_an_address_or_opens_a_file(
    pool: RenderPool, listener: tuple[str, list[bytes]], trap: tuple[Path, threading.Event]
) -> None:
    (url, heard), (path, was_opened) = listener, trap
    texts = payloads(url, path)
    cases = [(kind, turned(texts, 5 * at), False) for at, kind in enumerate(KINDS)]
    for kind, given, is_person in [*cases, ("contract", turned(texts, 3), True)]:
        card = hostile_deal(given, is_person=is_person)
        files, _ = pool.draft(kind, build(card, kind=kind))
        for file in files:
            if file.format == "pdf":
                shown = pdf_text(file.content)
                assert not PdfReader(io.BytesIO(file.content)).attachments
            else:
                shown = docx_text(file.content)
                check_package(file.name, file.content)
                with zipfile.ZipFile(io.BytesIO(file.content)) as package:
                    for part in package.namelist():
                        if part.endswith((".xml", ".rels")):
                            etree.fromstring(package.read(part))
            for row in card.rows:  # printed as it was written
                assert squeezed(clean_line(row.name))[:60] in squeezed(shown)
    assert heard == []
    assert not was_opened.is_set()


@pytest.mark.parametrize("name", sorted(kit().messages))
def test_a_letter_keeps_its_shape(name: str) -> None:
    texts = payloads("http://127.0.0.1:9", Path("/etc/hostname"))
    harmless = render_message(
        kit(), name, build(hostile_deal(["Слово"]), kind=None, attachments=ISSUED), draft=True
    )
    for turn in range(0, len(texts), 4):
        card = hostile_deal(turned(texts, turn))
        letter = render_message(kit(), name, build(card, kind=None, attachments=ISSUED), draft=True)
        assert shape(letter.html) == shape(harmless.html)
        assert addresses(letter.html) == addresses(harmless.html)
        assert not re.search(r"[\r\n\x00]", letter.subject)


def addresses(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]*)"', html)


@pytest.mark.parametrize("name", sorted(OF_SUMS))
def test_hostile_fields_of_the_sums_hold_them(name: str) -> None:
    title = kit().fields[name][0]
    for text in payloads("http://127.0.0.1:9", Path("/etc/hostname")):
        context = build(card_with(title, text))
        assert name in context[FAULTS]
        assert "итого" not in context


def card_with(title: str, text: str) -> DealCard:
    card = hostile_deal(["Слово"])
    return replace(card, deal=replace(card.deal, fields={title: text}))


def test_texts_of_a_hundred_thousand_letters_are_told_and_not_typeset(pool: RenderPool) -> None:
    context = build(hostile_deal(["А " * 50_000]))
    assert {"клиент.название", "клиент.адрес", "контакт.имя", "сделка.название"} <= context[FAULTS].keys()
    (file,), _ = pool.draft("invoice", context)
    assert "А А А" not in pdf_text(file.content)
