"""All that people edit, read from the templates folder and checked whole: rules, kit, report templates.

What is read is kept in memory, so that a file which is being saved right now gets into nothing. Knows no CRM
and no store.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from connector.documents import trial
from connector.documents.kit import FOLDERS, Kit
from connector.errors import ConfigError, Problem
from connector.playbook.check import check_names
from connector.playbook.load import load_playbook
from connector.playbook.model import Playbook
from connector.reports import REPORTS
from connector.reports.render import check_templates, read_templates

log = logging.getLogger(__name__)

PLAYBOOK = "playbook"
REPORT_TEMPLATES = "reports"

#: Name of a file below the templates folder -> time of its last change in ns, size, inode.
Signature = Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Edited:
    """One faultless state of the folder. `reports`: sources by name; `digest`: SHA-256 of all of it."""

    playbook: Playbook
    kit: Kit
    reports: Mapping[str, str]
    digest: str


def read(templates_dir: Path) -> Edited:
    """What lies in the folder now. Raises ConfigError with every mistake in all of it."""
    problems = check_templates(templates_dir, REPORTS)
    playbook = kit = None
    try:
        playbook = load_playbook(templates_dir / PLAYBOOK)
    except ConfigError as error:
        problems += error.problems
    try:
        kit = Kit.load(templates_dir)
    except ConfigError as error:
        problems += error.problems
    if playbook and kit:
        promised = {name: kit.promised(name) for name in kit.messages}
        problems += check_names(
            playbook, kit.documents, kit.messages, REPORTS, materials=kit.files, promised=promised
        )
    if problems or playbook is None or kit is None:
        raise ConfigError(problems)
    return Edited(playbook, kit, read_templates(templates_dir), _digest(templates_dir))


def trial_of_change(before: Edited, found: Edited) -> list[Problem]:
    """Mistakes that rendering a changed folder shows: its letters, and the documents that look otherwise.

    A machine that cannot typeset, such as one for the web role alone, leaves the trial to the others.
    """
    if before.kit.files == found.kit.files:
        return []
    try:
        return trial.run(found.kit, kinds=trial.changed_kinds(before.kit, found.kit))
    except ConfigError as error:
        log.warning("changed templates were not tried here: %s", error, extra={"action": "kit_not_tried"})
        return []


def signature(templates_dir: Path) -> Signature:
    """How the folder looks without reading any file: another signature means that something was saved."""
    found = {}
    for name in (*FOLDERS, PLAYBOOK, REPORT_TEMPLATES):
        for path in (templates_dir / name).rglob("*"):
            if path.name.startswith((".", "~")):
                continue  # what editors keep beside a file
            try:
                stat = path.stat()
            except OSError:
                continue  # gone between the listing and this line
            if path.is_file():
                key = path.relative_to(templates_dir).as_posix()
                found[key] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


def _digest(templates_dir: Path) -> str:
    digest = hashlib.sha256()
    for name in sorted(signature(templates_dir)):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256((templates_dir / name).read_bytes()).digest())
    return digest.hexdigest()
