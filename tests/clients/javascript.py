"""JavaScript clients: their packages installed once from the lock file, and one script run against a sandbox.

A script gets what it needs as JSON in the variable CONNECTOR_TEST and prints one line of JSON at its end;
lines before it are only shown when it fails. Knows no CRM.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "js"
OLDEST_NODE = 20
#: Loaded before a script: sends connections to chosen host names to a port of this machine.
REROUTE = FOLDER / "reroute.cjs"


class NoJavaScript(Exception):
    """The machine lacks node, npm or the packages; the text says what."""


@dataclass(frozen=True, slots=True)
class Node:
    """Runs scripts of `tests/clients/js`."""

    node: str

    def run(
        self,
        script: str,
        given: Mapping[str, Any],
        *,
        hosts: Mapping[str, int] | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 120,
    ) -> Any:
        """What the script printed last, decoded.

        `hosts`: port on 127.0.0.1 by host name (without a name: the real network). `ca_file`: a certificate
        authority that node trusts beside its own. A script that fails is an AssertionError with all it wrote.
        """
        env = {**os.environ, "CONNECTOR_TEST": json.dumps(given), "NODE_NO_WARNINGS": "1"}
        command = [self.node]
        if hosts:
            env["CONNECTOR_TEST_HOSTS"] = json.dumps(hosts)
            command += ["--require", str(REROUTE)]
        if ca_file:
            env["NODE_EXTRA_CA_CERTS"] = str(ca_file)
        done = subprocess.run(
            [*command, script], cwd=FOLDER, env=env, capture_output=True, text=True, timeout=timeout_s
        )
        lines = done.stdout.strip().splitlines()
        assert done.returncode == 0 and lines, f"{script}:\n{done.stdout}\n{done.stderr}"
        return json.loads(lines[-1])


def prepare() -> Node:
    """Node with all packages of the lock file in place. Raises NoJavaScript."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NoJavaScript("no node and npm on this machine")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major = re.match(r"v(\d+)", version)
    if major is None or int(major[1]) < OLDEST_NODE:
        raise NoJavaScript(f"node is {version}, {OLDEST_NODE} or later is needed")
    # Processes of one test run come here together: the first installs, the others wait and find it done.
    with (FOLDER / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(npm)
    return Node(node)


def _install(npm: str) -> None:
    wanted = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    #: Written last, so that a half-made folder is never taken for whole.
    stamp = FOLDER / "node_modules" / "connector-installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    if done.returncode != 0:
        raise NoJavaScript(f"npm ci failed: {done.stderr.strip()[-500:]}")
    stamp.write_text(wanted)
