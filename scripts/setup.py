"""Prepare `.venv`: locked dependencies, the package itself, and a look for what the system must bring.

Runs with the standard library alone, on any Python from 3.11 on. Does nothing when all is as it should be.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "connector-setup"
LOCK = ROOT / "requirements.lock"

#: How to install what WeasyPrint loads at run time; without it everything but PDF works.
PACKAGES = {
    "apt-get": [
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        "libpango-1.0-0",
        "libpangoft2-1.0-0",
        "libharfbuzz-subset0",
    ],
    "dnf": ["dnf", "install", "-y", "pango", "harfbuzz"],
    "apk": ["apk", "add", "pango", "harfbuzz"],
    "pacman": ["pacman", "-S", "--noconfirm", "pango"],
    "brew": ["brew", "install", "pango"],
}


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit(
            f"Connector needs Python 3.11 or later; this is {sys.version.split()[0]}. "
            "Say which one to use: make PYTHON=python3.11 …"
        )
    if not is_current():
        make_environment()
    look_for_pango()


def is_current() -> bool:
    return STAMP.exists() and STAMP.read_text() == fingerprint()


def fingerprint() -> str:
    """Changes when the lock, the list of dependencies, the place or the Python does."""
    parts = [LOCK.read_bytes(), (ROOT / "setup.cfg").read_bytes(), str(ROOT).encode(), sys.version.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make_environment() -> None:
    print("Setting up .venv (about a minute, once) …", flush=True)
    try:
        venv.create(VENV, with_pip=True, clear=True)
    except subprocess.CalledProcessError:
        sys.exit("This Python has no venv/ensurepip. On Debian and Ubuntu: apt-get install python3-venv")
    pip = [str(BIN / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, "--require-hashes", "-r", str(LOCK)])
    run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    STAMP.write_text(fingerprint())


def look_for_pango() -> None:
    """Find Pango, install it where that needs no password, else print the exact command."""
    if pango_loads():
        return
    tool = next((name for name in PACKAGES if shutil.which(name)), None)
    command = PACKAGES.get(tool or "", [])
    may_install = tool == "brew" or (command and hasattr(os, "geteuid") and os.geteuid() == 0)
    if may_install:
        print("Pango is missing, it draws the PDF documents. Installing it …", flush=True)
        if tool == "apt-get":
            subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if pango_loads():
        return
    print("\nPango is missing: everything works but PDF documents. Install it with")
    if command:
        print(f"    {'' if tool == 'brew' else 'sudo '}{' '.join(command)}\n")
    else:
        print("    your system's package manager (packages: pango, harfbuzz)\n")


def pango_loads() -> bool:
    """Ask the very code that will use it, in a process of its own."""
    code = "import weasyprint"
    return subprocess.run([str(BIN / "python"), "-c", code], capture_output=True).returncode == 0


def run(command: list[str]) -> None:
    if subprocess.run(command).returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit("\nSetting up failed; what went wrong is said above. Nothing half-done was left behind.")


if __name__ == "__main__":
    main()
