"""The documents say what exists and nothing else: commands, settings, template words, dependencies, links."""

from __future__ import annotations

import configparser
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from connector.cli import cli
from connector.documents.context import Issued
from connector.documents.environment import RUSSIAN_FILTERS
from connector.playbook.model import ACTIONS
from tests.documents.samples import CARD, DAY, DEAL, build

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
INSTALL = (ROOT / "docs" / "install.md").read_text("utf-8")
ROP = (ROOT / "docs" / "rop.md").read_text("utf-8")
DECISIONS = (ROOT / "docs" / "decisions.md").read_text("utf-8")
SETTINGS = (ROOT / "config.example.env").read_text("utf-8")
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
GUIDES = {"README.md": README, "docs/install.md": INSTALL, "docs/rop.md": ROP}


def tracked(*suffixes: str) -> list[Path]:
    """Files that git knows; of the given suffixes, if any."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name]
    return [file for file in files if file.is_file() and (not suffixes or file.suffix in suffixes)]


def options(command: click.Command) -> list[str]:
    """The command's options and those of the commands in it."""
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    own = [name for option in command.params if isinstance(option, click.Option) for name in option.opts]
    return own + [name for one in inner for name in options(one)]


def named_commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, the rest of it) of every call that a document shows in a code block or between backticks."""
    blocks = re.findall(r"```(?:sh|text|ini)\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for code in [line.partition("#")[0] for block in blocks for line in block.splitlines()] + spans:
        yield from re.findall(r"(?:^|[\s/])(?:bin/|-m )?connector ([a-z][a-z-]*)(.*)", code)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_and_option_is_documented(name: str) -> None:
    assert re.search(rf"`connector {name}[ `]", INSTALL), f"docs/install.md does not name connector {name}"
    unsaid = [
        option for option in options(cli.commands[name]) if not re.search(rf"{option}\b", README + INSTALL)
    ]
    assert not unsaid


@pytest.mark.parametrize("document", GUIDES)
def test_every_command_that_a_document_names_exists(document: str) -> None:
    found = list(named_commands(GUIDES[document]))
    assert found
    for name, rest in found:
        assert name in cli.commands, f"{document}: connector {name}"
        unknown = set(re.findall(r"--[a-z][a-z-]*", rest)) - {*options(cli.commands[name]), "--help"}
        assert not unknown, f"{document}: connector {name} {rest}"


def test_every_make_target_that_a_document_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    texts = [*GUIDES.values(), (ROOT / "CONTRIBUTING.md").read_text("utf-8")]
    named = {name for text in texts for name in re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)}
    assert {"demo", "test", "setup"} <= named <= targets


def test_settings_that_the_guide_names_exist() -> None:
    known = set(re.findall(r"^([A-Z][A-Z_]*)=", SETTINGS, re.MULTILINE))
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)\b", README + INSTALL))
    assert named
    assert named <= known


@pytest.mark.parametrize(
    "name", ["CRM", "CRM_URL", "CRM_TOKEN", "HOOK_SECRET", "APPLICATION_TOKEN", "BASE_URL"]
)
def test_the_guide_says_where_what_a_connection_needs_comes_from(name: str) -> None:
    assert re.search(rf"`{name}[=`]", INSTALL)


def test_every_action_has_its_section() -> None:
    missing = [name for name in ACTIONS if f"| `{name}` |" not in ROP]
    assert not missing


def table(marker: str) -> list[str]:
    """The first column of the table after `<!-- marker -->` in the guide for the head of sales."""
    rows = ROP.split(f"<!-- {marker} -->\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", rows, re.MULTILINE)


def test_template_filters_are_documented_and_no_others() -> None:
    assert table("filters") == [*RUSSIAN_FILTERS, "иначе"]


def test_template_names_are_documented_and_no_others() -> None:
    issued = Issued("invoice", "Счёт", "2026-0001", DAY)
    case = {"Чашек в день": "120", "Цена чашки": "150", "Себестоимость чашки": "40"}
    full = build(replace(CARD, deal=replace(DEAL, fields=case)), attachments=[issued])
    assert sorted(table("names")) == sorted(name for name in full if not name.startswith("_"))


def requirements() -> dict[str, str]:
    """Distribution -> section of setup.cfg, lower case, without extras and bounds."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    sections = {
        "install": config["options"]["install_requires"],
        "test": config["options.extras_require"]["test"],
    }
    lines = {name: re.findall(r"^([A-Za-z0-9-]+)", text, re.MULTILINE) for name, text in sections.items()}
    return {line.lower(): section for section, found in lines.items() for line in found}


IMPORT_NAMES = {
    "aiosmtpd": "aiosmtpd",
    "markdown-it-py": "markdown_it",
    "pillow": "PIL",
    "python-dotenv": "dotenv",
    "pyyaml": "yaml",
    "vl-convert-python": "vl_convert",
}
#: SQLAlchemy and zoneinfo load these by name.
LOADED_BY_OTHERS = {"tzdata"}


def test_every_dependency_is_imported_and_decided() -> None:
    source = "\n".join(
        file.read_text("utf-8") for file in tracked(".py") if (ROOT / "connector") in file.parents
    )
    decided = " ".join(re.findall(r"^\| ([^|]+) \|", DECISIONS.split("## Dependencies", 1)[1], re.MULTILINE))
    for name, section in requirements().items():
        if section != "install":
            continue
        assert re.search(rf"(^|[ ,]){name}\b", decided.lower()), f"docs/decisions.md has no line for {name}"
        module = IMPORT_NAMES.get(name, name)
        imported = re.search(rf"^\s*(?:import|from) {module}\b", source, re.MULTILINE)
        assert imported or name in LOADED_BY_OTHERS, f"nothing imports {name}"


def test_the_lock_pins_every_dependency_by_hash_and_names_no_place() -> None:
    pinned = dict(re.findall(r"^([A-Za-z0-9.-]+)==(\S+)", LOCK, re.MULTILINE))
    assert set(requirements()) <= set(pinned)
    entries = re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--index-url|--find-links|--extra-index", LOCK)


def anchors(text: str) -> set[str]:
    """What GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", tracked(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if re.match(r"[a-z]+:", link) or "{" in link:
            continue
        target, _, anchor = link.partition("#")
        file = (document.parent / target).resolve() if target else document
        assert file.exists(), f"{document.name}: {link}"
        assert not anchor or anchor in anchors(file.read_text("utf-8")), f"{document.name}: {link}"


def test_no_file_speaks_of_the_machine_it_was_written_on() -> None:
    # Put together here, so that this file does not find itself.
    places = [f"/{folder}/" for folder in ("work", "root", "tmp", "home")] + ["py" + "pi."]
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, places))})|\b(?:TO{''}DO|FIX{''}ME)\b")
    found = []
    for file in tracked(
        ".py", ".md", ".cfg", ".toml", ".yml", ".html", ".txt", ".env", ".lock", ".js", ".css", ""
    ):
        lines = file.read_text("utf-8", errors="replace").splitlines()
        found += [
            f"{file.relative_to(ROOT)}:{at}: {line.strip()[:80]}"
            for at, line in enumerate(lines, 1)
            if pattern.search(line)
        ]
    assert not found
