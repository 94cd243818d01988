"""Prepare `.venv`: locked dependencies, the package itself, and a look for what the system must bring.

Runs with the standard library alone. Does nothing, and at once, when all is as it should be.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
#: The environment before this one, while a new one is being made.
OLD = ROOT / ".venv.old"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
#: What the environment was made from; written last, so that a half-made one is never taken for whole.
STAMP = VENV / "connector-setup"
#: Pango was found once: looking again takes a second, every time.
PANGO_FOUND = VENV / "connector-pango"

OLDEST = (3, 11)
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")

APT = ["apt-get", "install", "-y", "--no-install-recommends"]
#: How to install what WeasyPrint loads at run time; without it everything but PDF works.
PANGO = {
    "apt-get": [*APT, "libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"],
    "dnf": ["dnf", "install", "-y", "pango", "harfbuzz"],
    "apk": ["apk", "add", "pango", "harfbuzz"],
    "pacman": ["pacman", "-S", "--noconfirm", "pango"],
    "brew": ["brew", "install", "pango"],
}
#: Debian and Ubuntu alone ship a Python that cannot make environments.
ENSUREPIP = {"apt-get": [*APT, f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"]}


def main() -> None:
    if sys.version_info < OLDEST:
        sys.exit(run_with_newer_python())
    if not is_current():
        need_ensurepip()
        make_environment()
    need_pango()


def run_with_newer_python() -> int | str:
    """Start again with a Python that is new enough, if there is one; what to hand to `sys.exit`."""
    fits = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    for name in NEWER_PYTHONS:
        python = shutil.which(name)
        if python and subprocess.run([python, "-c", fits], capture_output=True).returncode == 0:
            return subprocess.run([python, *sys.argv]).returncode
    return (
        f"Connector needs Python 3.11 or later; this is {sys.version.split()[0]} and no newer one is found."
        " Install one, or say where it is: make PYTHON=/path/to/python3.11 setup"
    )


def is_current() -> bool:
    return STAMP.exists() and STAMP.read_text() == fingerprint()


def fingerprint() -> str:
    """Changes when the lock, the list of dependencies, the place or the Python does."""
    parts = [LOCK.read_bytes(), (ROOT / "setup.cfg").read_bytes(), str(ROOT).encode(), sys.version.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make_environment() -> None:
    """Make `.venv` anew; if that fails or is interrupted, what was there before stands again."""
    if OLD.exists():  # the run before was killed in the middle
        shutil.rmtree(VENV, ignore_errors=True)
        OLD.rename(VENV)
    if VENV.exists():
        VENV.rename(OLD)
    print("Setting up .venv, once; it takes about a minute:", flush=True)
    try:
        build()
    except BaseException as error:
        shutil.rmtree(VENV, ignore_errors=True)
        if OLD.exists():
            OLD.rename(VENV)
        if isinstance(error, (subprocess.CalledProcessError, KeyboardInterrupt)):
            sys.exit("\nSetting up failed; what went wrong is said above. Nothing half-done was left behind.")
        raise
    shutil.rmtree(OLD, ignore_errors=True)


def build() -> None:
    """Fill `.venv`. Raises CalledProcessError after the failing program has said why."""
    count = sum("==" in line for line in LOCK.read_text().splitlines())
    # -qq: warnings about the person's own pip settings are not ours to show; errors are still shown.
    pip = [str(BIN / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    step("environment", [sys.executable, "-m", "venv", str(VENV)])
    step(f"{count} packages of requirements.lock", [*pip, "--require-hashes", "-r", str(LOCK)])
    step("connector", [*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    STAMP.write_text(fingerprint())


def step(title: str, command: list[str]) -> None:
    print(f"  {title} … ", end="", flush=True)
    began = time.monotonic()
    subprocess.run(command, check=True)
    print(f"{time.monotonic() - began:.0f} s", flush=True)


def need_ensurepip() -> None:
    """Install what makes environments where that needs no password, else end with the exact command."""
    if has_ensurepip():
        return
    command = install("ensurepip, which makes Python environments,", ENSUREPIP)
    if not has_ensurepip():
        sys.exit(
            "This Python cannot make environments: it has no venv or no ensurepip. Install them with\n\n"
            f"    {command}\n"
        )


def has_ensurepip() -> bool:
    importlib.invalidate_caches()
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def need_pango() -> None:
    """Find Pango, install it where that needs no password, else print the exact command and go on."""
    if PANGO_FOUND.exists():
        return
    command = None if pango_loads() else install("Pango, which draws the PDF documents,", PANGO)
    if command is None or pango_loads():
        PANGO_FOUND.touch()
        return
    print(
        f"\nPango is missing: everything works but PDF documents. Install it with\n\n    {command}\n",
        flush=True,
    )


def pango_loads() -> bool:
    """Ask the very code that will use it, in a process of its own."""
    return (
        subprocess.run([str(BIN / "python"), "-c", "import weasyprint"], capture_output=True).returncode == 0
    )


def install(what: str, commands: dict[str, list[str]]) -> str:
    """Install by the system's package manager where that needs no password; the command for a person."""
    tool = next((name for name in commands if shutil.which(name)), None)
    if tool is None:
        return "your system's package manager"
    command = commands[tool]
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if tool == "brew" or is_root:
        print(f"{what} is missing; installing it …", flush=True)
        if tool == "apt-get":
            subprocess.run(["apt-get", "update", "-qq"], stdout=subprocess.DEVNULL)
        subprocess.run(command, stdout=subprocess.DEVNULL)
    return " ".join(command if tool == "brew" or is_root else ["sudo", *command])


if __name__ == "__main__":
    main()
