"""Templates and rules edited while the product runs: good changes are used, bad ones named and kept out."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest
import requests
from sqlalchemy import select

from connector.sandbox.app import Sandbox
from connector.sandbox.state import Task
from connector.store.schema import schedules
from tests.commands.typed import typed
from tests.e2e.office import Office
from tests.e2e.programs import TEMPLATES, Installation, Program

ALARM = "Исправьте ошибку в правилах или шаблонах"


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    folder = tmp_path / "kit"
    shutil.copytree(TEMPLATES, folder)
    return folder


@pytest.fixture
def serving(own_sandbox: Sandbox, sqlite_url: str, tmp_path: Path, kit: Path) -> Iterator[Installation]:
    with Installation(own_sandbox, sqlite_url, tmp_path, templates=kit) as here:
        yield here


def edit(kit: Path, name: str, old: str, new: str) -> None:
    file = kit / name
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def invoice_text(office: Office, here: Installation, what: str) -> str:
    """The text of the invoice of a new deal that has just come to «Счёт выставлен»."""
    deal_id = office.add_deal(email=f"{what}@{office.crm}.example")
    office.move(deal_id, "Счёт выставлен")
    here.wait_for(lambda: office.file_names(deal_id), f"the invoice {what}")
    (file,) = office.files(deal_id)
    return pypdf.PdfReader(io.BytesIO(file.content)).pages[0].extract_text()


def alarms(office: Office) -> list[Task]:
    return [task for task in office.portal.tasks.values() if task.text.startswith(ALARM)]


def test_serve_uses_a_good_change_within_seconds_and_keeps_out_a_bad_one(
    serving: Installation, kit: Path
) -> None:
    here = serving
    program = here.start_web("serve")
    office = here.offices["amocrm"]
    assert "Отгружает:" not in invoice_text(office, here, "before")
    first_render = set(program.children())

    edit(kit, "documents/invoice.html", "Поставщик:", "Отгружает:")
    here.wait_for(lambda: "new templates are at work" in program.stderr, "the new version")
    assert "Отгружает:" in invoice_text(office, here, "good")
    here.wait_for(lambda: not first_render & set(program.children()), "the end of the old render process")

    edit(kit, "documents/invoice.html", "{{ документ.номер }}", "{{ документ.номр }}")
    edit(kit, "playbook/20-invoice.yml", "document: invoice", "dokument: invoice")
    for other in here.offices.values():
        here.wait_for(lambda office=other: alarms(office), f"the task in {other.crm}")
        (task,) = alarms(other)
        said = f"{task.text}\n{task.description}"
        assert "documents/invoice.html:" in said
        assert "«документ.номр»; может быть, «документ.номер»?" in said
        assert "20-invoice.yml:" in said
        assert not task.is_done
    assert "the version before it stays at work" in program.stderr
    status = typed("status", env=here.settings)
    assert status.code == 1
    assert "работает прежняя версия" in status.out
    assert "documents/invoice.html:" in status.out
    page = requests.get(f"{here.base_url}/", timeout=10).text
    assert "Правила и шаблоны: работает прежняя версия" in page
    assert "«документ.номр»" in page
    assert "Отгружает:" in invoice_text(office, here, "bad")  # as before the bad change

    edit(kit, "documents/invoice.html", "{{ документ.номр }}", "{{ документ.номер }}")
    edit(kit, "playbook/20-invoice.yml", "dokument: invoice", "document: invoice")
    for other in here.offices.values():
        here.wait_for(lambda office=other: alarms(office)[0].is_done, f"the end of the task in {other.crm}")
        assert len(alarms(other)) == 1
    page = requests.get(f"{here.base_url}/", timeout=10).text
    assert "Правила и шаблоны: работает прежняя версия" not in page
    assert program.stop() == 0
    assert "Traceback" not in program.stderr


@pytest.mark.postgres
def test_every_role_reads_a_change_by_itself(
    own_sandbox: Sandbox, postgres_url: str, tmp_path: Path, kit: Path
) -> None:
    with Installation(own_sandbox, postgres_url, tmp_path, templates=kit) as here:
        roles: dict[str, Program] = {"web": here.start_web()}
        roles |= {name: here.start(name) for name in ("worker", "scheduler")}
        for name, role in roles.items():
            role.wait_for(lambda role=role: "templates are watched" in role.stderr, f"{name}: start")
        edit(kit, "playbook/90-reports.yml", "report: loss_reasons", "report: loss_reazons")
        for name, role in roles.items():
            role.wait_for(lambda role=role: "the version before it stays" in role.stderr, f"{name}: refused")
        here.wait_for(lambda: all(alarms(office) for office in here.offices.values()), "the tasks")
        edit(kit, "playbook/90-reports.yml", "report: loss_reazons", "report: owner_daily, name: second")
        for name, role in roles.items():
            role.wait_for(lambda role=role: "new templates are at work" in role.stderr, f"{name}: new")
        wanted = {f"report:{name}" for name in ("owner_daily", "standup", "lead_quality", "second")}
        here.wait_for(lambda: schedule_names(here) == wanted, "schedules")
        here.wait_for(lambda: all(alarms(o)[0].is_done for o in here.offices.values()), "closed tasks")
        assert [len(alarms(office)) for office in here.offices.values()] == [1, 1]
        for role in roles.values():
            assert role.stop() == 0
            assert "Traceback" not in role.stderr


def schedule_names(here: Installation) -> set[str]:
    with here.app.db.read() as conn:
        names = set(conn.execute(select(schedules.c.name)).scalars())
    return {name for name in names if name.startswith("report:")}
