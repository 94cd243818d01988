"""A kit with a mistake is refused whole, with the place of every mistake."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from connector.documents.kit import Kit
from connector.documents.pictures import PictureError, reencode
from connector.errors import ConfigError
from tests.documents.samples import DAY, TEMPLATES, kit


def changed(name: str, old: str, new: str) -> dict[str, bytes]:
    text = kit().text(name)
    assert old in text
    return {**kit().files, name: text.replace(old, new, 1).encode()}


def problems(files: dict[str, bytes]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        Kit.from_files(files)
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("documents/company.yml", '"9999000013"', '"9999000014"', "company.yml:10  ИНН 9999000014"),
        ("documents/company.yml", 'кпп: "999901001"', 'кпп: ""', "не заполнено «кпп»"),
        ("documents/company.yml", "бик:", "биг:", "неизвестный реквизит «биг»"),
        ("documents/company.yml", "адрес: 999001", "адресок: 999001", "не заполнено «адрес»"),
        ("documents/company.yml", "ндс: 22 ", "ндс: много ", "ставка НДС «много»"),
        ("documents/company.yml", "logo.png", "logo2.png", "нет картинки documents/pictures/logo2.png"),
        ("documents/company.yml", "Ветров Алексей Петрович", "Заяц Пётр Иванович", "директор_родительный"),
        (
            "documents/company.yml",
            "основная: северный-ветер",
            "основная: южный",
            "company.yml:4  нет компании «южный»",
        ),
        ("documents/company.yml", "компании:", "компании: [", "company.yml:8  "),
        ("documents/company.yml", "    кпп:", '    инн: "1"\n    кпп:', "ключ «инн» повторяется"),
        ("documents/documents.yml", "[pdf, docx]", "[pdf, odt]", "«odt» неизвестен"),
        ("documents/documents.yml", "\nact:", "\nact2:", "нет шаблона templates/documents/act2.html"),
        ("documents/documents.yml", '"КП-{год}-{номер:04}"', '"{номер.__class__}"', "формат номера"),
        ("documents/documents.yml", '"КП-{год}-{номер:04}"', '"{номер:9999}"', "формат номера"),
        ("documents/documents.yml", '"КП-{год}-{номер:04}"', '"без номера"', "формат номера"),
        ("documents/documents.yml", "действует_дней: 14", "действует_дней: 0", "от 1 до 365"),
        (
            "documents/documents.yml",
            "пункты: clauses.yml",
            "пункты: нет.yml",
            "documents/нет.yml  нет такого файла",
        ),
        ("documents/clauses.yml", "{{ итого.строка_ндс }}.", "{{ итого.строка_ндс }.", "clauses.yml:"),
        ("documents/invoice.html", "{% extends", "{% extend", "documents/invoice.html:1"),
        (
            "documents/invoice.html",
            "{{ таблица(товары, итого) }}",
            "{{ таблица(товары, итого)|safe }}",
            "safe",
        ),
        ("documents/invoice.html", "h1 { font-size: 15pt;", "h1 { color: {{ x }};", "внутри <style>"),
        ("documents/act.html", "{{ итого.позиций }}", "{{ итого.позиций|денги }}", "documents/act.html:"),
        ("messages/welcome.md", "---\nтема", "тема", "messages/welcome.md:1"),
        ("messages/welcome.md", "тема:", "тена:", "messages/welcome.md:2  неизвестный ключ «тена»"),
        ("messages/welcome.md", "{{ менеджер.имя }},", "{{ менеджер.имя },", "messages/welcome.md:6"),
        ("materials/index.yml", "результат: Очередь", "итог: Очередь", "materials/index.yml:"),
        ("documents/fields.yml", "[ИНН]", "ИНН", "fields.yml:5"),
    ],
)
def test_a_mistake_is_named_with_its_place(name: str, old: str, new: str, message: str) -> None:
    assert any(message in problem for problem in problems(changed(name, old, new))), message


def test_all_mistakes_are_told_at_once() -> None:
    files = {
        **changed("documents/company.yml", '"9999000013"', '"1"'),
        "messages/welcome.md": "нет шапки".encode(),
        "documents/act.html": b"{% if %}",
        "documents/clauses.yml": b"\xff\xfe",
    }
    assert problems(files) == ["documents/clauses.yml  файл не в кодировке UTF-8"]
    del files["documents/clauses.yml"]
    found = problems(files)
    assert [
        any(name in text for text in found)
        for name in ("company.yml", "clauses.yml", "welcome.md", "act.html")
    ] == [True] * 4


def repacked(change: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(kit().files["documents/contract.docx"])) as old,
        zipfile.ZipFile(out, "w") as new,
    ):
        for part in old.namelist():
            if part not in change:
                new.writestr(part, old.read(part))
        for part, content in change.items():
            new.writestr(part, content)
    return out.getvalue()


RELS = (
    b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    b'<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" '
    b'Target="http://evil.example/x" TargetMode="External"/></Relationships>'
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (repacked({"word/vbaProject.bin": b"macro"}), "макросы"),
        (repacked({"word/_rels/extra.xml.rels": RELS % b"image"}), "внешний объект"),
        (repacked({"word/_rels/settings.xml.rels": RELS % b"attachedTemplate"}), "внешний объект"),
        (repacked({"word/media/big.bin": b"\0" * 20_000_001}), "больше 20 МБ"),
        (b"PK\x03\x04 no zip", "повреждён"),
        (b"", "повреждён"),
    ],
)
def test_a_dangerous_word_template_is_refused(content: bytes, message: str) -> None:
    found = problems({**kit().files, "documents/contract.docx": content})
    assert any(message in problem for problem in found)


def test_a_hyperlink_in_a_word_template_is_allowed() -> None:
    content = repacked({"word/_rels/extra.xml.rels": RELS % b"hyperlink"})
    Kit.from_files({**kit().files, "documents/contract.docx": content})


def test_pictures_are_written_anew_the_same_each_time() -> None:
    out = io.BytesIO()
    Image.effect_noise((900, 900), 80).convert("RGBA").save(out, "PNG")
    again = reencode(out.getvalue())
    assert again == reencode(out.getvalue())
    assert len(again) < len(out.getvalue())
    assert Image.open(io.BytesIO(again)).size == (900, 900)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    big = io.BytesIO()
    Image.new("1", (4001, 10)).save(big, "PNG")
    for content in (b"<svg/>", b"", b"GIF89a", big.getvalue(), b"\x89PNG\r\n\x1a\n broken"):
        with pytest.raises(PictureError):
            reencode(content)
    shutil.copytree(TEMPLATES / "documents", tmp_path / "documents")
    (tmp_path / "documents/pictures/stamp.png").write_bytes(b"<svg onload=x>")
    with pytest.raises(ConfigError, match=r"documents/pictures/stamp\.png"):
        Kit.load(tmp_path)


def test_the_fingerprint_changes_with_whatever_the_document_is_made_of() -> None:
    first = kit().fingerprint("invoice")
    assert first == Kit.from_files(kit().files).fingerprint("invoice")
    for name, old, new in (
        ("documents/invoice.html", "Поставщик:", "Продавец:"),
        ("documents/partials/rows.html", "Наименование", "Товар"),
        ("documents/base.css", "10pt", "11pt"),
        ("documents/company.yml", "+7 495 000-00-17", "+7 495 000-00-18"),
    ):
        assert Kit.from_files(changed(name, old, new)).fingerprint("invoice") != first
    other = Kit.from_files(changed("documents/act.html", "Поставщик:", "Подрядчик:"))
    assert other.fingerprint("invoice") == first
    assert other.fingerprint("act") != kit().fingerprint("act")


def test_numbers_and_file_names() -> None:
    proposal = kit().documents["proposal"]
    assert proposal.number(7, DAY) == "КП-2026-0007"
    assert proposal.file_name({"номер": "1/2:3"}, "pdf") == "Коммерческое предложение № 1-2-3.pdf"
    assert kit().documents["invoice"].series("северный-ветер") == "invoice/северный-ветер"


def test_a_seller_without_vat_can_be_switched_on_for_a_pipeline() -> None:
    text = kit().text("documents/company.yml")
    start = text.index("  # ип-ветров:")
    end = text.index("# Какая компания")
    trader = text[start:end].replace("  # ", "  ")
    text = text[:start] + trader + text[end:].replace("# воронки:\n#   Услуги", "воронки:\n  Услуги")
    switched = Kit.from_files({**kit().files, "documents/company.yml": text.encode()})
    assert switched.seller("Услуги").rate is None
    assert switched.seller("Услуги").data["вид"] == "ИП"
    assert switched.seller("Продажи").rate == 22


def test_a_kit_of_before_pictures_options_and_calculations_goes_on_working() -> None:
    newer = ("documents/products.yml", "documents/economics.yml")
    older = Kit.from_files({name: content for name, content in kit().files.items() if name not in newer})
    assert older.products.look("Кофемашина «Аврора»") is None
    assert older.economics == ()
