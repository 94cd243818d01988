"""Imports point down only. Reads the imports of every module and fails on one that points up or sideways."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "connector"

GROUND = {"domain", "errors", "clock", "config", "batches"}
POLICY = {"playbook", "documents", "figures", "planning", "reports", "charts", "moves", "echoes"}
ADAPTERS = {"crm", "store", "delivery", "payments"}
USE_CASES = {
    *("actions", "effects", "intake", "activity_feed", "directory", "cards", "reconcile", "backfill"),
    *("reporting", "explain", "status", "consent", "register", "register_files", "own_moves", "loops"),
    *("deciding", "happenings", "hook_watch", "access", "edited", "kit_keeper", "kit_alarm", "preview"),
    *("paying", "receipts", "settling", "targets", "history_import", "history_files", "daily_control"),
    "outlook",
    *("links", "client_page", "client_context", "report_pages", "report_files", "report_alarm"),
}
EDGES = {"web", "cli", "commands", "worker", "scheduler", "__main__"}

#: What each row may import beside itself. The store is our own and has one implementation, so use cases call
#: it directly; of the CRMs and channels they know the ports only, and `app` hands the implementations in.
PORTS = {"crm.base", "crm.consent", "delivery.base", "payments.base"}
ALLOWED = {
    "ground": GROUND,
    "policy": GROUND | POLICY,
    "adapters": GROUND,
    "use cases": GROUND | POLICY | USE_CASES | {"store"} | PORTS,
    "edges": GROUND | POLICY | USE_CASES | ADAPTERS | EDGES | {"app", "demo"},
    "app": GROUND | POLICY | USE_CASES | ADAPTERS | EDGES,
    "demo": GROUND | POLICY | USE_CASES | ADAPTERS | EDGES | {"app", "sandbox"},
    "sandbox": GROUND | {"sandbox"},
}
ROW = {
    **dict.fromkeys(GROUND, "ground"),
    **dict.fromkeys(POLICY, "policy"),
    **dict.fromkeys(ADAPTERS, "adapters"),
    **dict.fromkeys(USE_CASES, "use cases"),
    **dict.fromkeys(EDGES, "edges"),
    "app": "app",
    "demo": "demo",
    "sandbox": "sandbox",
}

#: Single, named doors through the wall, each with its reason.
DOORS = {
    # Figures are SQL over a copy of the facts: they know the tables, and what keeps the copy up to date.
    ("figures", "store.schema"),
    ("figures", "store.bulk"),
    ("figures", "store.change_log"),
    # The sandbox is a program of its own, started by its command.
    ("commands", "sandbox"),
}

THIRD_PARTY = {
    "flask": {"web", "app", "sandbox"},
    "requests": {"crm", "sandbox", "payments"},
    "yookassa": {"payments"},
    "apscheduler": {"scheduler", "store", "playbook"},
    "sqlalchemy": {
        *("store", "figures", "intake", "effects", "web", "reporting", "actions", "loops"),
        *("reconcile", "backfill", "status", "deciding", "happenings", "kit_alarm", "settling"),
        *("client_page", "access", "activity_feed"),
    },
    "weasyprint": {"documents"},
    "vl_convert": {"charts"},
    "apprise": {"delivery"},
    "aiosmtpd": {"sandbox"},
    "cryptography": {"store"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def top(module: str) -> str:
    return module.split(".", 1)[0]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> set[str]:
    """Dotted names that a module imports, of our own without the leading «connector.»."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def ours(path: Path) -> set[str]:
    return {name.removeprefix("connector.") for name in imports(path) if name.startswith("connector.")}


def allows(importer: str, imported: str) -> bool:
    own = top(importer)
    if own == "" or top(imported) in (own, "__version__"):
        return True
    allowed = ALLOWED[ROW[own]]
    if top(imported) in allowed:
        return True
    if any(imported == port or imported.startswith(f"{port}.") for port in allowed & PORTS):
        return True
    return any(own == door[0] and imported.startswith(door[1]) for door in DOORS)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_down(path: Path) -> None:
    name = module_name(path)
    assert name == "" or top(name) in ROW, f"{name}: say in this test which row it stands in"
    wrong = sorted(imported for imported in ours(path) if not allows(name, imported))
    assert not wrong, f"{name} may not import {', '.join(wrong)}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    name = module_name(path)
    libraries = {top(imported) for imported in imports(path)}
    wrong = sorted(lib for lib, rooms in THIRD_PARTY.items() if lib in libraries and top(name) not in rooms)
    assert not wrong, f"{name} may not import {', '.join(wrong)}"


def test_one_crm_does_not_know_the_other() -> None:
    for crm, other in (("amocrm", "bitrix24"), ("bitrix24", "amocrm")):
        for folder in (PACKAGE / "crm" / crm, PACKAGE / "sandbox" / crm):
            for path in folder.rglob("*.py"):
                assert not any(f".{other}" in name for name in ours(path)), path


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_modules_say_what_they_are_for(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree), f"{path.relative_to(ROOT)} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_modules_are_small(path: Path) -> None:
    assert path.stat().st_size < 28 * 1024, f"{path.relative_to(ROOT)} has too much in it: is there a seam?"


def test_nothing_is_left_open() -> None:
    # Whole words: Bitrix24 calls a to-do CRM_…, in capitals.
    marks = re.compile(r"\b(NotImplementedError|TO" + r"DO|FIX" + r"ME)\b")
    left = [str(path.relative_to(ROOT)) for path in MODULES if marks.search(path.read_text())]
    assert left == []


def test_commands_do_not_load_what_only_some_of_them_need() -> None:
    """Each is megabytes and tenths of a second of every start of every role."""
    asked = "import sys, connector.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    child = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    loaded = set(child.stdout.split())
    assert "sqlalchemy" in loaded
    assert not loaded & {"aiosmtpd", "docxtpl", "openpyxl", "weasyprint", "yookassa"}
