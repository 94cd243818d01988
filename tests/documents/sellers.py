"""A kit with a second company of ours, an entrepreneur without VAT, whom a field of the deal chooses."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.documents.samples import TEMPLATES

FIELD = "Наша компания"
TRADER = "ИП Ветров Алексей Петрович"


def kit_with_two_sellers(folder: Path) -> Path:
    """The kit as it is delivered, with the example of a second seller switched on as its comments say."""
    shutil.copytree(TEMPLATES, folder)
    file = folder / "documents" / "company.yml"
    text = file.read_text("utf-8")
    begin = text.index("  # ип-ветров:")
    head, example = text[:begin], text[begin:]
    end = example.index("\n\n")
    example = re.sub(r"(?m)^  # ", "  ", example[:end]) + example[end:]
    example = example.replace("# поле: Наша компания", f"поле: {FIELD}")
    file.write_text(head + example, "utf-8")
    return folder
