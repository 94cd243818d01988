"""Twenty faults of the people who edit templates: each is named by file, place and word when it is saved."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from connector import edited
from connector.documents import docx_lint, trial
from connector.documents.environment import TemplateEnvironment
from connector.documents.kit import Kit
from connector.errors import ConfigError
from tests.documents.samples import CARD, TEMPLATES, build, kit

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Fault:
    """`place` and `words` are what the answer must hold; `change` makes the fault in a copy of the kit."""

    name: str
    change: Change
    place: str
    words: tuple[str, ...]


def swap(name: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        file = folder / name
        text = file.read_text("utf-8")
        assert old in text, old
        file.write_text(text.replace(old, new, 1), "utf-8")

    return change


def add(name: str, text: str) -> Change:
    """`text` before the end of the block «текст», which is the last of a template."""
    return lambda folder: swap(name, "{% block текст %}", "{% block текст %}\n" + text)(folder)


def in_word(old: str, new: str, part: str = "word/document.xml") -> Change:
    def change(folder: Path) -> None:
        file = folder / "documents/contract.docx"
        file.write_bytes(rewritten(file.read_bytes(), part, old, new))

    return change


def rewritten(content: bytes, part: str, old: str, new: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(out, "w") as made:
        for name in given.namelist():
            body = given.read(name)
            if name == part:
                assert old.encode() in body, old
                body = body.replace(old.encode(), new.encode(), 1)
            made.writestr(name, body)
    return out.getvalue()


def recoded(folder: Path) -> None:
    file = folder / "messages/welcome.md"
    file.write_bytes(file.read_text("utf-8").encode("cp1251"))


INVOICE, ACT, WORD = "documents/invoice.html", "documents/act.html", "documents/contract.docx"
FAULTS = [
    Fault("syntax", swap(INVOICE, "{% endif %}", ""), INVOICE + r":\d+", ("не закрыто {% if %}",)),
    Fault(
        "unknown name",
        swap(INVOICE, "итого.сумма", "итого.сума"),
        INVOICE + r":\d+",
        ("«итого.сума»", "«итого.сумма»"),
    ),
    Fault(
        "unknown filter",
        swap(ACT, "|дата", "|датта"),
        ACT + r":\d+",
        ("фильтр «датта»", "«дата»"),
    ),
    Fault(
        "data in a style",
        swap(ACT, "<style>", "<style>\n  h1 { color: {{ сделка.название }}; }"),
        ACT + r":\d+",
        ("внутри <style>",),
    ),
    Fault("safe", swap(ACT, "{{ документ.номер }}", "{{ документ.номер|safe }}"), ACT + r":\d+", ("safe",)),
    Fault(
        "outside picture",
        add(INVOICE, '<img src="https://pictures.example/a.png">'),
        INVOICE + r":\d+",
        ("https://pictures.example/a.png", "снаружи"),
    ),
    Fault(
        "file of the server",
        add(INVOICE, '<img src="file:///etc/passwd">'),
        INVOICE + r":\d+",
        ("file:///etc/passwd", "снаружи"),
    ),
    Fault(
        "outside picture in a style",
        swap("documents/base.css", "img { border: 0; }", "img { background: url(//host.example/a.png); }"),
        r"documents/base\.css:\d+",
        ("//host.example/a.png",),
    ),
    Fault("script", add(ACT, "<script>x()</script>"), ACT + r":\d+", ("<script>",)),
    Fault("handler", add(ACT, '<p onclick="x()">нажмите</p>'), ACT + r":\d+", ("onclick",)),
    Fault(
        "missing picture", add(ACT, '<img src="asset:logo2.png">'), ACT + r":\d+", ("logo2.png", "logo.png")
    ),
    Fault(
        "missing font",
        swap(ACT, "<style>", '<style>\n  h1 { font-family: "PT Sens"; }'),
        ACT + r":\d+",
        ("PT Sens", "pt sans"),
    ),
    Fault(
        "percent in flex",
        add(ACT, '<div style="display: flex"><img src="asset:logo.png" style="width: 50%"></div>'),
        ACT + r":\d+",
        ("flex",),
    ),
    Fault(
        "quotes of Word in HTML",
        swap(ACT, "{{ документ.номер }}", "{{ документ.номер|иначе(«—») }}"),
        ACT + r":\d+",
        ("«", "прямые кавычки"),
    ),
    Fault(
        "unknown name in Word",
        in_word("продавец.город", "продавец.гороод"),
        re.escape(WORD) + r", таблица 1, строка 1, ячейка 1",
        ("«продавец.гороод»", "«продавец.город»", "г. {{ продавец.гороод }}"),
    ),
    Fault(
        "unclosed tag in Word",
        in_word("{{ документ.номер }}", "{{ документ.номер }"),
        re.escape(WORD) + r", абзац 1",
        ("не закрыты скобки", "Договор поставки №"),
    ),
    Fault(
        "words beside a paragraph tag in Word",
        in_word("{%p for раздел in разделы %}", "{%p for раздел in разделы %} Условия"),
        re.escape(WORD) + r", абзац \d+",
        ("Условия", "пропало бы"),
    ),
    Fault(
        "Word unlike the PDF",
        in_word("{{ итого.строка_ндс }}", "без налога"),
        r"documents/contract\.html",
        ("«итого.строка_ндс»", "contract.docx"),
    ),
    Fault("encoding", recoded, r"messages/welcome\.md", ("UTF-8",)),
    Fault(
        "attachment that no rule makes",
        swap("messages/welcome.md", "---\n{{", "вложения: [act]\n---\n{{"),
        r"05-new\.yml:\d+",
        ("«welcome»", "«act»"),
    ),
    Fault(
        "unknown key of a letter",
        swap("messages/welcome.md", "тема:", "вложение: [act]\nтема:"),
        r"messages/welcome\.md:2",
        ("«вложение»",),
    ),
    Fault(
        "what only a render shows",
        swap(ACT, "{{ документ.номер }}", "{{ клиент.название|деньги }}"),
        ACT,
        ("пример: ",),
    ),
]


def told(folder: Path) -> list[str]:
    """What saving this folder answers."""
    try:
        found = edited.read(folder)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    before = edited.Edited(found.playbook, kit(), found.reports, "before")
    return [str(problem) for problem in edited.trial_of_change(before, found)]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_named_by_file_place_and_word(fault: Fault, tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    shutil.copytree(TEMPLATES, folder)
    fault.change(folder)
    answers = told(folder)
    hits = [text for text in answers if re.search(fault.place, text.partition("  ")[0])]
    assert any(all(word in text for word in fault.words) for text in hits), answers
    assert all(re.search("[а-яё]{3}", text) for text in answers)


def test_our_own_kit_has_no_fault(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "kit")
    assert told(tmp_path / "kit") == []
    assert trial.run(kit(), workers=2) == []


def test_a_page_that_no_client_could_open_is_named_before_one_tries() -> None:
    page = kit().text("pages/document.html").replace("{{ документ.дата|дата }}", "{{ документ.дата|деньги }}")
    broken = Kit.from_files({**kit().files, "pages/document.html": page.encode()})
    (problem,) = trial.run(broken, kinds=())
    assert problem.place.startswith("pages/document.html")
    assert "(пример: ООО, 12 позиций с НДС)" in problem.message


def test_a_word_file_that_is_no_xml_is_a_sentence() -> None:
    content = rewritten(kit().files[WORD], "word/document.xml", "<w:body>", "<w:body")
    (problem,) = docx_lint.find(WORD, content, {})
    assert "повреждён" in problem.message


def test_a_documents_links_may_lead_outside(tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    shutil.copytree(TEMPLATES, folder)
    add(ACT, '<p><a href="https://severny-veter.example/care">Как ухаживать</a> {# <script> #}</p>')(folder)
    assert told(folder) == []


@pytest.mark.parametrize(
    ("typed", "straight"),
    [
        ("{{ клиент.инн|иначе(«—») }}", '{{ клиент.инн|иначе("—") }}'),
        ("{% if клиент.вид == “ИП” %}", '{% if клиент.вид == "ИП" %}'),
        ('{{ x|иначе("ООО «Ромашка»") }} «вне тега»', '{{ x|иначе("ООО «Ромашка»") }} «вне тега»'),
        ("{{ x|иначе(„да“) }}", '{{ x|иначе("да") }}'),
    ],
)
def test_quotes_that_word_puts_into_tags_are_made_straight(typed: str, straight: str) -> None:
    assert docx_lint.straight_quotes(typed) == straight


def test_a_word_template_with_such_quotes_is_filled(tmp_path: Path) -> None:
    from connector.documents.docx import render_docx
    from connector.documents.environment import wrap

    content = rewritten(
        kit().files[WORD], "word/document.xml", "{{ продавец.город }}", "{{ продавец.город|иначе(«—») }}"
    )
    known = Kit.from_files({**kit().files, WORD: content})
    assert known.documents["contract"].formats == ("pdf", "docx")
    context = wrap({**build(CARD, "contract"), "преамбула": "", "разделы": []})
    made = render_docx(WORD, content, context, TemplateEnvironment())
    assert any("Образцовск" in paragraph.text for paragraph in docx_lint.paragraphs(made))
