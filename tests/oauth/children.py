"""What the child processes of the renewal tests do: `python -m tests.oauth.children MODE`, settings on stdin.

They say «ready», wait for a line, call the CRM and print the pair's version.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from connector.app import App
from connector.clock import SystemClock
from connector.config import Config
from connector.crm.oauth import OAuthTokens
from connector.store.grants import Grants
from tests.crm.limiter import Turnstile

ROOT = Path(__file__).parents[2]
SHORT_LEASE = timedelta(seconds=0.5)


def spawn(mode: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """A child that has its settings and is about to say «ready»."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.oauth.children", mode],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    tell(child, json.dumps(dict(env)))
    return child


def tell(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()


def hear(child: subprocess.Popen[str]) -> str:
    """The next line that the child says; "" when it is no more."""
    assert child.stdout is not None
    return child.stdout.readline().strip()


def end(child: subprocess.Popen[str]) -> int:
    """Its exit code, with its pipes closed."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    return child.wait(timeout=60)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _die(*_: object) -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def main(mode: str) -> None:
    app = App(Config.from_env(json.loads(sys.stdin.readline())), SystemClock(), Turnstile())
    if mode == "die":
        # The CRM has answered, nothing is written yet.
        Grants.replace = _die  # type: ignore[assignment]
        tokens = OAuthTokens("main", app.grants, app.oauth_servers["main"], app.clock, lease=SHORT_LEASE)
        vars(app)["tokens"] = {"main": tokens}
    client = app.clients["main"]
    _say("ready")
    sys.stdin.readline()
    name = client.account_info().name
    stored = app.grants.find("main")
    _say(json.dumps({"name": name, "version": stored.version if stored else 0}))
    app.close()


if __name__ == "__main__":
    main(sys.argv[1])
