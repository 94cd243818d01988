"""Render processes: nothing is fetched, limits hold, a dead process is replaced, no secret is handed on."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pypdf import PdfReader

from connector.documents.kit import Kit
from connector.documents.payment_qr import PaymentQrError, parse
from connector.documents.render import Limits, RenderPool, RenderProcessError
from connector.errors import ConfigError, HeldError, RenderError
from tests.documents.hostile import SECRET_TEXT, payloads
from tests.documents.reading import docx_text, pdf_text
from tests.documents.samples import CARD, COMPANY, DEAL, REQUISITES, ROWS, build, kit

KINDS = ("proposal", "contract", "invoice", "act")


def assert_harmless(content: bytes, heard: list[bytes]) -> None:
    reader = PdfReader(io.BytesIO(content))
    assert not reader.attachments
    assert SECRET_TEXT not in pdf_text(content)
    assert heard == []


def test_hostile_markup_in_the_template_itself_fetches_and_opens_nothing(
    listener: tuple[str, list[bytes]], secret_file: Path
) -> None:
    """Even where a template's author wrote the markup, the fetcher gives nothing out."""
    url, heard = listener
    bodies = [p for p in payloads(url, secret_file) if "{{" not in p and "\ud800" not in p]
    page = "<!doctype html><title>x</title>" + "\n".join(
        b.replace("{", "{ ").replace("{  ", "{ ") for b in bodies
    )
    styles = kit().text("documents/base.css") + f"\n@import url({url}/css); p {{ background: url({url}/p) }}"
    files = {
        **kit().files,
        "documents/act.html": page.encode(),
        "documents/base.css": (f"@import url({url}/first);\n" + styles).encode(),
    }
    with RenderPool(Kit.from_files(files), 1) as own:
        assert_harmless(own.render("act", build(kind="act"))[0].content, heard)


def test_a_hostile_name_is_printed_as_it_is(pool: RenderPool) -> None:
    name = "ООО «Рога & Копыта» <script>"
    card = replace(CARD, company=replace(COMPANY, name=name, requisites=replace(REQUISITES, full_name=name)))
    for kind in KINDS:
        for file in pool.render(kind, build(card, kind=kind)):
            text = pdf_text(file.content) if file.format == "pdf" else docx_text(file.content)
            assert name in " ".join(text.split())


def broken(source: str, limits: Limits) -> RenderPool:
    """A pool whose act is `source`, and whose other documents are sound."""
    files = {**kit().files, "documents/act.html": source.encode()}
    return RenderPool(Kit.from_files(files), 1, limits)


ENDLESS = "{% for a in товары %}" * 14 + "x" + "{% endfor %}" * 14
GREEDY = (
    "{% macro d(s, n) %}{% if n %}{{ d(s ~ s, n - 1) }}{% else %}{{ s }}{% endif %}{% endmacro %}"
    "{{ d('aaaaaaaaaa', 40) }}"
)


@pytest.mark.parametrize(
    ("source", "limits"),
    [
        (ENDLESS * 3, Limits(wall_s=1.5, wall_s_a_row=0)),
        (ENDLESS * 3, Limits(cpu_s=1, wall_s=30)),
        (GREEDY, Limits(wall_s=30)),
    ],
    ids=["time", "processor", "memory"],
)
def test_a_document_beyond_its_limits_is_stopped_and_the_next_one_is_made(
    source: str, limits: Limits
) -> None:
    with broken(source, limits) as own:
        own.check("invoice", build())  # started and warm
        started = time.monotonic()
        with pytest.raises(RenderError, match=r"предел|память|вложенность"):
            own.render("act", build(kind="act"))
        assert time.monotonic() - started < 15
        own.check("invoice", build())


def test_a_killed_process_is_replaced(pool: RenderPool) -> None:
    pool.check("invoice", build())
    process = pool._all[0]._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(5)
    pool.check("invoice", build())
    assert pool._all[0]._process is not process


def test_a_document_survives_the_death_of_its_process(pool: RenderPool) -> None:
    rows = tuple(replace(ROWS[1], name=f"Позиция {n}") for n in range(100))
    context = build(replace(CARD, rows=rows, deal=replace(DEAL, amount=100 * ROWS[1].price)))
    pool.check("invoice", build())
    process = pool._all[0]._process
    assert process is not None
    threading.Timer(0.2, process.kill).start()
    (file,) = pool.render("invoice", context)
    assert process.poll() == -signal.SIGKILL
    assert "Позиция 99" in pdf_text(file.content)


def test_a_document_that_ends_every_process_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with broken(ENDLESS * 3, Limits(wall_s=20)) as own:
        child, started = own._all[0], []
        running = child._running

        def doomed() -> subprocess.Popen[bytes]:
            process = running()
            started.append(process.pid)
            threading.Timer(0.3, process.kill).start()
            return process

        monkeypatch.setattr(child, "_running", doomed)
        with pytest.raises(RenderError, match="предел"):
            own.render("act", build(kind="act"))
        assert len(set(started)) == 2


def test_a_render_process_knows_no_secret(pool: RenderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CRM_TOKEN", "SMTP_PASSWORD", "DATABASE_URL", "BETA__HOOK_SECRET"):
        monkeypatch.setenv(name, SECRET_TEXT)
    with RenderPool(kit(), 1) as own:
        own.check("invoice", build())
        process = own._all[0]._process
        assert process is not None
        environ = Path(f"/proc/{process.pid}/environ")
        if not environ.exists():
            pytest.skip("this system does not show the environment of a process")
        assert SECRET_TEXT.encode() not in environ.read_bytes()


def test_many_threads_share_the_pool() -> None:
    def number(ordinal: int) -> str:
        context = build(number=f"N{ordinal}")
        return own.render("invoice", context)[0].name

    with RenderPool(kit(), 2) as own, ThreadPoolExecutor(6) as threads:
        assert list(threads.map(number, range(5))) == [f"Счёт на оплату № N{n}.pdf" for n in range(5)]


def test_a_closed_pool_leaves_no_process_behind() -> None:
    own = RenderPool(kit(), 1)
    own.check("invoice", build())
    process = own._all[0]._process
    assert process is not None
    own.close()
    assert process.poll() is not None
    with pytest.raises(RenderProcessError):
        own.check("invoice", build())


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("<p>\n{{ клиент.инм }}", None, r"клиент\.инм.*клиент\.инн"),
        ("<p>\n\n{{ клиент.инн|дата }}", 3, "нужна дата"),
        ("<p>\n{{ итого.сумма * 'x' }}", 2, "только с числами"),
        ("{% include 'нет.html' %}", None, "нет.html"),
    ],
)
def test_a_slip_of_the_template_is_named_with_its_line(source: str, line: int | None, message: str) -> None:
    with broken(source, Limits()) as own, pytest.raises(RenderError, match=message) as error:
        own.render("act", build(kind="act"))
    assert error.value.line == line
    assert "None" not in str(error.value)
    assert error.value.template.startswith("documents/act.html")


def test_data_do_not_travel_in_errors() -> None:
    with broken("{{ контакт.email|int / 0 }}", Limits()) as own, pytest.raises(RenderError) as error:
        own.render("act", build(kind="act"))
    assert "romashka" not in str(error.value)


def test_a_machine_without_pango_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    own = RenderPool(kit(), 1)
    answer = {"no_pango": "cannot load library 'libpango-1.0-0'"}
    monkeypatch.setattr(own._all[0], "ask", lambda *_: answer)
    with pytest.raises(ConfigError, match="apt-get install -y libpango"):
        own.warm_up()


def test_warming_up_typesets_a_page(pool: RenderPool) -> None:
    pool.warm_up()


def test_an_archive_grade_pdf_with_all_fonts_inside(pool: RenderPool) -> None:
    content = pool.render("invoice", build())[0].content
    reader = PdfReader(io.BytesIO(content))
    assert reader.metadata is not None
    assert reader.metadata.title == "Счёт на оплату № 2026-0007 от 24\u00a0ноября 2026\u00a0г."
    fonts: dict[str, Any] = reader.pages[0]["/Resources"]["/Font"].get_object()  # type: ignore[index]
    for font in fonts.values():
        descriptor = font["/DescendantFonts"][0]["/FontDescriptor"]
        assert "PT-Sans" in descriptor["/FontName"] or "PTSans" in descriptor["/FontName"]
        assert "/FontFile2" in descriptor or "/FontFile3" in descriptor


reads_codes = pytest.mark.skipif(
    not (shutil.which("zbarimg") and shutil.which("pdftoppm")),
    reason="zbarimg and pdftoppm are not installed: the code on the page cannot be read back",
)
DPI = 150


def scanned(content: bytes, folder: Path) -> tuple[bytes, float]:
    """What a scanner reads off the only code on the page, and how wide its square is there, in mm."""
    (folder / "invoice.pdf").write_bytes(content)
    drawing = ["pdftoppm", "-r", str(DPI), "-png", "-singlefile", "invoice.pdf", "page"]
    subprocess.run(drawing, cwd=folder, check=True, timeout=60)
    picture = folder / "page.png"
    command = ["zbarimg", "-q", "--raw", "-Sbinary", "-Sdisable", "-Sqrcode.enable", str(picture)]
    data = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return data.rstrip(b"\n"), _code_width(picture) / DPI * 25.4


def _code_width(picture: Path) -> int:
    """Pixels from the first dark one to the last in the left 60 mm of the page's lower half, where it is."""
    page = Image.open(picture).convert("L")
    margin_and_code = page.crop((0, page.height // 2, int(60 / 25.4 * DPI), page.height))
    rows = [margin_and_code.crop((0, y, margin_and_code.width, y + 1)) for y in range(margin_and_code.height)]
    widths = [box[2] - box[0] for row in rows if (box := row.point(lambda v: 255 * (v < 100)).getbbox())]
    # The timing pattern and the finders make the code's own width the commonest by far.
    return Counter(widths).most_common(1)[0][0]


@reads_codes
def test_the_payment_code_on_the_page_is_read_back(pool: RenderPool, tmp_path: Path) -> None:
    context = build()
    data, width_mm = scanned(pool.render("invoice", context)[0].content, tmp_path)
    fields = parse(data)
    assert data.decode() == context["оплата"]["qr"]
    assert width_mm >= 35
    assert fields["Sum"] == "41515100"
    assert fields["PersonalAcc"] == context["продавец"]["счёт"]
    assert fields["Purpose"] == "Оплата по счёту № 2026-0007 от 24.11.2026, в том числе НДС 72650,18 руб."


@reads_codes
def test_the_code_of_a_draft_pays_nothing(pool: RenderPool, tmp_path: Path) -> None:
    (file, *_), _ = pool.draft("invoice", build(number="черновик"))
    data, _ = scanned(file.content, tmp_path)
    assert data.decode() == "Образец: по черновику счёта платить нельзя"
    with pytest.raises(PaymentQrError):
        parse(data)


def test_a_held_document_says_so_from_the_pool(pool: RenderPool) -> None:
    with pytest.raises(HeldError, match="«Счёт на оплату»: не хватает данных"):
        pool.render("invoice", build(replace(CARD, rows=())))
