"""The tables of events in the READMEs are the tables in the code."""

from __future__ import annotations

import re
from pathlib import Path

import connector.crm
from connector.crm.amocrm.webhook import HANDLERS as AMOCRM
from connector.crm.bitrix24.webhook import HANDLERS as BITRIX24

FOLDER = Path(connector.crm.__file__).parent


def events_in(crm: str) -> set[str]:
    text = (FOLDER / crm / "README.md").read_text(encoding="utf-8")
    table = text.partition("<!-- handlers")[2].partition("\n\n")[0]
    firsts = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`([^`]+)`", " ".join(firsts)))


def test_amocrms_readme_lists_what_is_handled() -> None:
    assert events_in("amocrm") == {f"{entity}[{action}]" for entity, action in AMOCRM}


def test_bitrix24s_readme_lists_what_is_handled() -> None:
    assert events_in("bitrix24") == set(BITRIX24)
