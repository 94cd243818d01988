"""Letters: the text and the HTML say the same, and a stranger's text is never markup."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.documents.context import Issued
from connector.documents.kit import Kit
from connector.documents.messages import render_message
from connector.errors import HeldError, RenderError
from tests.documents.samples import CARD, COMPANY, CONTACT, build, kit

ISSUED = tuple(
    Issued(
        kind, title, "2026-0007", date(2026, 11, 24), Decimal("415151"), f"https://x.example/d/{kind}_*w-1"
    )
    for kind, title in (
        *(("invoice", "Счёт на оплату"), ("act", "Акт")),
        *(("contract", "Договор"), ("proposal", "Предложение")),
    )
)


def with_message(source: str) -> Kit:
    return Kit.from_files({**kit().files, "messages/test.md": source.encode()})


def text_of(html: str) -> str:
    body = re.sub(r"<head>.*?</head>|<p style=.*?</p>", "", html, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize("name", ["after_meeting", "welcome", "invoice_sent", "act_sent"])
def test_every_letter_of_the_kit_says_the_same_twice(name: str) -> None:
    message = render_message(kit(), name, build(kind=None, attachments=ISSUED))
    assert message.subject
    assert "Анна Олеговна, здравствуйте!" in message.text
    links = re.findall(r'href="([^"]+)"', message.html)
    assert links == re.findall(r"https://[^\s,.]+\.example/[\w*/-]+", message.text)
    words = re.findall(r"[\w№«»]+", re.sub(r"https://\S+?(?=[,.)]?\s)", "", message.text))
    assert words == re.findall(r"[\w№«»]+", text_of(message.html))
    assert "{{" not in message.html + message.text + message.subject


def test_the_letter_after_a_meeting_reads_well() -> None:
    message = render_message(kit(), "after_meeting", build(kind=None, attachments=ISSUED))
    assert message.subject == "Предложение и договор для ООО «Ромашка»"
    assert message.attachments == ("proposal", "contract")
    assert "— коммерческое предложение на 415\u00a0151,00\u00a0₽: что входит" in message.text
    assert "решили: Отель «Тихая гавань». Завтрак" in message.text
    assert "<strong>Отель «Тихая гавань»</strong>" in message.html


@pytest.mark.parametrize(
    "name",
    [
        "ООО «Рога & Копыта» <script>alert(1)</script>",
        "[нажми](https://evil.example)",
        "<https://evil.example>",
        "https://evil.example",
        "![](https://evil.example/x.png)",
        "# Заголовок",
        "**жирно** _и_ `код`",
        "a\n\n---\n\n1. список",
        "&lt;b&gt; &#60;",
        "{{ 7*7 }} {% for %}",
        "\\",
    ],
)
def test_a_name_is_never_markup(name: str) -> None:
    card = replace(CARD, company=replace(COMPANY, name=name), contacts=(replace(CONTACT, name=name),))
    source = '---\nтема: "Для {{ клиент.название }}"\n---\n{{ контакт.имя }}, привет! {{ клиент.название }}'
    message = render_message(with_message(source), "test", build(card, kind=None))
    shown = " ".join(name.split())
    assert message.subject == f"Для {shown}"
    assert message.text == f"{shown}, привет! {shown}\n"
    assert text_of(message.html).split() == f"{shown}, привет! {shown}".split()
    letter = message.html.partition("<body")[2]
    assert not re.search(r"<(?:a|img|script|strong|em|h1|ol|hr|code)\b", letter)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=60))
def test_any_text_stays_itself(name: str) -> None:
    card = replace(CARD, contacts=(replace(CONTACT, name="x" + name + "x"),))
    context = build(card, kind=None)
    message = render_message(name_only_kit(), "test", context)
    assert message.text.split() == context["контакт"]["имя"].split()


@lru_cache(maxsize=1)
def name_only_kit() -> Kit:
    return with_message('---\nтема: "т"\n---\n{{ контакт.имя }}')


def test_links_lists_and_numbers_of_the_author_survive_in_both_parts() -> None:
    source = """---
тема: "т"
---
Смотрите [каталог](https://severny-veter.example/catalog) и <https://severny-veter.example>.

1. раз
2. два

- а
- б

Конец.
"""
    message = render_message(with_message(source), "test", build(kind=None))
    assert message.text == (
        "Смотрите каталог: https://severny-veter.example/catalog и https://severny-veter.example.\n\n"
        "1. раз\n2. два\n\n— а\n— б\n\nКонец.\n"
    )
    assert '<a href="https://severny-veter.example/catalog">каталог</a>' in message.html


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd"]
)
def test_dangerous_links_are_no_links(link: str) -> None:
    message = render_message(with_message(f'---\nтема: "т"\n---\n[x]({link})'), "test", build(kind=None))
    assert "href" not in message.html


def test_raw_html_of_the_author_is_shown_and_not_obeyed() -> None:
    source = '---\nтема: "т"\n---\n<img src="https://evil.example/pixel.png"> <script>x</script>'
    message = render_message(with_message(source), "test", build(kind=None))
    assert "<img" not in message.html
    assert "<script" not in message.html


def test_a_missing_datum_holds_the_letter_and_names_all() -> None:
    with pytest.raises(HeldError) as error:
        render_message(kit(), "welcome", build(replace(CARD, contacts=()), kind=None, responsible=None))
    assert [(field.name, field.where) for field in error.value.missing] == [
        ("контакт", "Сделка → Контакт"),
        ("менеджер", "Сделка → Ответственный"),
    ]


def test_a_letter_about_a_document_that_is_not_there_waits_for_it() -> None:
    with pytest.raises(HeldError) as error:
        render_message(kit(), "invoice_sent", build(kind=None))
    assert "ещё не выпущен" in error.value.missing[0].where


def test_an_unknown_name_is_the_authors_slip_and_the_nearest_is_told() -> None:
    with pytest.raises(RenderError, match=r"клиент\.инм.*клиент\.инн"):
        render_message(with_message('---\nтема: "т"\n---\n{{ клиент.инм }}'), "test", build(kind=None))


def test_a_failing_filter_is_an_error_of_the_template() -> None:
    with pytest.raises(RenderError, match=r"messages/test\.md"):
        render_message(with_message('---\nтема: "т"\n---\n{{ клиент.инн|дата }}'), "test", build(kind=None))


def test_an_unknown_letter_is_an_error() -> None:
    with pytest.raises(RenderError, match="нет такого письма"):
        render_message(kit(), "nothing", build(kind=None))
