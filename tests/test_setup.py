"""What `make setup` does on machines that lack something; the answers of the system are handed in."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "setup.py"


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as it stands in a folder of its own, on a system without any package manager."""
    folder = tmp_path / "connector"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "scripts")
    (folder / "requirements.lock").write_text("one==1 \\\n    --hash=sha256:00\n")
    (folder / "setup.cfg").write_text("[metadata]\nname = connector\n")
    spec = importlib.util.spec_from_file_location("setup_script", folder / "scripts" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script.shutil, "which", lambda name: None)
    return script


def stand_in(setup: ModuleType, monkeypatch: pytest.MonkeyPatch, *, fails: str = "") -> list[list[str]]:
    """Record what is run instead of running it; the command that contains `fails` fails."""
    ran: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        ran.append(command)
        if "venv" in command:
            Path(command[-1], "bin").mkdir(parents=True)
        code = int(bool(fails) and fails in command)
        if code and options.get("check"):
            raise subprocess.CalledProcessError(code, command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(setup.subprocess, "run", run)
    return ran


def test_the_second_run_does_nothing(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = stand_in(setup, monkeypatch)
    setup.main()
    assert len(ran) == 4
    setup.main()
    assert len(ran) == 4


@pytest.mark.parametrize("changed", ["requirements.lock", "setup.cfg"])
def test_changed_dependencies_make_a_new_environment(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    stand_in(setup, monkeypatch)
    setup.main()
    (setup.VENV / "left-over").touch()
    (setup.ROOT / changed).write_text("two==2\n")
    setup.main()
    assert setup.is_current()
    assert not (setup.VENV / "left-over").exists()
    assert not setup.OLD.exists()


def test_a_moved_folder_makes_a_new_environment(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(setup, monkeypatch)
    setup.main()
    monkeypatch.setattr(setup, "ROOT", setup.ROOT.rename(setup.ROOT.with_name("moved")))
    for name in ("VENV", "STAMP", "LOCK"):
        moved = Path(str(getattr(setup, name)).replace("/connector/", "/moved/"))
        monkeypatch.setattr(setup, name, moved)
    assert setup.STAMP.exists()
    assert not setup.is_current()


def test_a_failed_first_run_leaves_nothing(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(setup, monkeypatch, fails="--require-hashes")
    with pytest.raises(SystemExit, match="Nothing half-done was left behind"):
        setup.main()
    assert not setup.VENV.exists()
    assert not setup.OLD.exists()


def test_a_failed_update_keeps_the_environment_that_works(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(setup, monkeypatch)
    setup.main()
    (setup.VENV / "works").touch()
    setup.LOCK.write_text("two==2\n")
    stand_in(setup, monkeypatch, fails="--require-hashes")
    with pytest.raises(SystemExit):
        setup.main()
    assert (setup.VENV / "works").exists()
    assert not setup.OLD.exists()
    assert not setup.is_current()


def test_an_update_that_was_killed_loses_no_environment(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.OLD.mkdir()
    (setup.OLD / "works").touch()
    setup.VENV.mkdir()
    stand_in(setup, monkeypatch, fails="--require-hashes")
    with pytest.raises(SystemExit):
        setup.main()
    assert (setup.VENV / "works").exists()


def test_a_person_without_rights_gets_the_exact_command_for_pango(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = stand_in(setup, monkeypatch, fails="import weasyprint")
    monkeypatch.setattr(setup.shutil, "which", {"apt-get": "apt-get"}.get)
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    setup.main()
    assert "    sudo apt-get install -y --no-install-recommends libpango-1.0-0" in capsys.readouterr().out
    assert not any("apt-get" in command for command in ran)
    assert setup.is_current()
    assert not setup.PANGO_FOUND.exists()


def test_root_gets_pango_installed(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = stand_in(setup, monkeypatch, fails="import weasyprint")
    monkeypatch.setattr(setup.shutil, "which", {"dnf": "dnf"}.get)
    monkeypatch.setattr(setup.os, "geteuid", lambda: 0)
    setup.main()
    assert ["dnf", "install", "-y", "pango", "harfbuzz"] in ran


def test_a_python_that_makes_no_environments_is_named_before_anything_is_made(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = stand_in(setup, monkeypatch)
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(setup.shutil, "which", {"apt-get": "apt-get"}.get)
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    with pytest.raises(
        SystemExit, match=r"sudo apt-get install -y --no-install-recommends python3\.\d+-venv"
    ):
        setup.main()
    assert ran == []
    assert not setup.VENV.exists()


def test_an_old_python_hands_over_to_a_newer_one(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = stand_in(setup, monkeypatch)
    monkeypatch.setattr(setup.sys, "version_info", (3, 10, 0))
    monkeypatch.setattr(setup.shutil, "which", {"python3.12": "/opt/python3.12"}.get)
    with pytest.raises(SystemExit) as ended:
        setup.main()
    assert ended.value.code == 0
    assert ran[-1][0] == "/opt/python3.12"


def test_an_old_python_alone_says_what_to_do(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.sys, "version_info", (3, 10, 0))
    with pytest.raises(SystemExit, match="make PYTHON="):
        setup.main()
