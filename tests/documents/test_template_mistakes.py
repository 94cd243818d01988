"""Slips of the people who edit templates: each is told in Russian, with its line, before the first deal."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from connector.documents.kit import Kit
from connector.documents.template_names import OF_DOCUMENTS, known_names
from connector.errors import ConfigError
from connector.reports import REPORTS
from connector.reports.render import check_templates
from tests.documents.samples import CARD, TEMPLATES, build, kit


def copy(folder: Path, name: str, old: str, new: str) -> Path:
    """The kit in `folder` with one slip in one file."""
    shutil.copytree(TEMPLATES, folder / "kit")
    file = folder / "kit" / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder / "kit"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("documents/invoice.html", "итого.сумма", "итого.сума", "«итого.сума»; может быть, «итого.сумма»?"),
        ("documents/invoice.html", "клиент", "клеент", "неизвестное имя «клеент»; может быть, «клиент»?"),
        ("documents/contract.html", "пункт.номер", "пункт.номр", "может быть, «пункт.номер»?"),
        ("documents/partials/rows.html", "товар.название", "товар.назване", "«товар.название»?"),
        ("documents/clauses.yml", "итого.строка_ндс", "итого.ндс_строка", "«итого.ндс_строка»"),
        ("documents/clauses.yml", "|прописью(", "|прописю(", "фильтр «прописю»; может быть, «прописью»?"),
        ("messages/after_meeting.md", "клиент.название", "клиент.имя", "неизвестное имя «клиент.имя»"),
        (
            "messages/act_sent.md",
            "документы.act.номер",
            "документы.akt.номер",
            "может быть, «документы.act»?",
        ),
        ("messages/welcome.md", "{{ менеджер.имя }}", "{{ менеджер.имя", "не закрыты скобки"),
        ("messages/after_meeting.md", "{% endif %}", "", "{% endif %}"),
        ("documents/invoice.html", "{% endif %}", "", "не закрыто {% if %}"),
        ("documents/invoice.html", "{{ продавец.банк }}", "{{ продавец.банк }", "пропущена скобка"),
        ("documents/act.html", '"позиция"', "«позиция»", "прямые кавычки"),
        ("documents/company.yml", "    кпп:", "   кпп:", "сбился отступ"),
        ("documents/company.yml", "огрн:", "огнр:", "«огнр»; может быть, «огрн»?"),
    ],
)
def test_a_slip_is_told_in_russian_with_its_line(
    tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        Kit.load(copy(tmp_path, name, old, new))
    found = [str(problem) for problem in error.value.problems]
    assert any(message in text and re.search(rf"kit/{re.escape(name)}:\d+", text) for text in found), found


def test_every_name_that_a_context_has_is_known() -> None:
    known = {**known_names(kit().documents), **OF_DOCUMENTS}
    context = build(CARD, kind="invoice")
    context["преамбула"], context["разделы"] = "", [{"номер": "1.", "название": "", "пункты": []}]
    unknown = [path for path in _paths(context, known) if not path.startswith("_")]
    assert unknown == []


def _paths(value: object, known: object, path: str = "") -> Iterator[str]:
    """Names of a context that the tree of known names has not."""
    if isinstance(value, Mapping) and isinstance(known, Mapping):
        for key, item in value.items():
            if key not in known:
                yield f"{path}{key}"
            else:
                yield from _paths(item, known[key], f"{path}{key}.")
    elif isinstance(value, list) and isinstance(known, list):
        for item in value:
            yield from _paths(item, known[0], path)


def test_any_file_among_the_materials_can_go_with_a_letter_and_is_no_burden_to_documents(
    tmp_path: Path,
) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "kit")
    (tmp_path / "kit/materials/price.pdf").write_bytes(b"%PDF-1.7")
    loaded = Kit.load(tmp_path / "kit")
    assert loaded.files["materials/price.pdf"] == b"%PDF-1.7"
    assert "materials/price.pdf" not in loaded.for_render()
    assert loaded.fingerprint("invoice") == kit().fingerprint("invoice")


def test_templates_of_reports_are_checked_too(tmp_path: Path) -> None:
    templates = copy(tmp_path, "reports/owner_daily.html", "{% endif %}", "")
    (templates / "reports/loss_reasons.txt").unlink()
    found = [str(problem) for problem in check_templates(templates, REPORTS)]
    assert any("loss_reasons.txt  нет такого файла" in text for text in found)
    assert any(re.search(r"owner_daily.html:\d+  не закрыто {% if %}", text) for text in found)
    assert check_templates(TEMPLATES, REPORTS) == []
