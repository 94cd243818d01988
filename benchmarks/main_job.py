"""The main job measured over its real seams: sandbox, `connector serve` and SMTP, each a process of its own.

    .venv/bin/python benchmarks/main_job.py [--crm amocrm|bitrix24] [--moves 20] [--database URL]

Prints how fast a hook is answered at 50 concurrent deliveries, how long a letter and a document take from the
change of stage, and the memory of `serve` with its render process. Goals: answer p99 ≤ 0.3 s, document p95
≤ 5 s with the sandbox's usual latency (0.1 s an answer) and the rate limits of both CRMs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests

ROOT = Path(__file__).resolve().parent.parent
SECRET = "benchmark-secret-0123456789"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SENDERS = 50
HOOKS_A_SENDER = 20
SALES = "Продажи"
STAGES = {"letter": "Встреча проведена", "from": "Встреча назначена"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--crm", choices=["amocrm", "bitrix24"], action="append")
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--database", default="")
    options = parser.parse_args()
    for crm in options.crm or ["amocrm", "bitrix24"]:
        measure(crm, options.moves, options.database)


def measure(crm: str, moves: int, database: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sandbox = start([sys.executable, "-m", "connector", "sandbox", "--port", "0", "--json"], {})
        doors = json.loads(sandbox.stdout.readline())  # type: ignore[union-attr]
        port = free_port()
        env = settings(crm, doors, port, database or f"sqlite:///{folder}/connector.db")
        serve = start([sys.executable, "-m", "connector", "serve"], env)
        base = f"http://127.0.0.1:{port}"
        hook = f"{base}/hooks/{crm}/main/{SECRET}"
        try:
            wait(lambda: answers(f"{base}/health"), 60, "serve")
            subscribe(crm, doors, hook, env)
            print(f"\n{crm}, {env['DATABASE_URL'].split(':')[0]}")
            show("hook answered, 50 at once", hook_times(crm, hook, doors), "s")
            wait(lambda: is_idle(env), 600, "the hooks' work")
            letters, files = job_times(crm, doors, moves, env)
            show("change of stage → letter accepted", letters, "s")
            show("change of stage → last document in the deal", files, "s")
            own, children = rss(serve.pid), rss_of_children(serve.pid)
            print(f"  memory: serve {own:.0f} MB, its render process {children:.0f} MB")
        finally:
            serve.terminate()
            sandbox.terminate()
            serve.wait(30)
            sandbox.wait(30)


def settings(crm: str, doors: dict[str, Any], port: int, database: str) -> dict[str, str]:
    door = doors[crm]
    return {
        "ACCOUNT": "main",
        "CRM": crm,
        "CRM_URL": door["base_url"] if crm == "amocrm" else door["webhook_url"],
        "CRM_TOKEN": door.get("token", ""),
        "APPLICATION_TOKEN": door.get("application_token", ""),
        "HOOK_SECRET": SECRET,
        "DATABASE_URL": database,
        "TEMPLATES_DIR": str(ROOT / "templates"),
        "BASE_URL": f"http://127.0.0.1:{port}",
        "WEB_PORT": str(port),
        "SMTP_HOST": doors["mail"]["smtp_host"],
        "SMTP_PORT": str(doors["mail"]["smtp_port"]),
        "SMTP_SECURITY": "none",
        "LOG_LEVEL": "WARNING",
    }


def start(command: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True)


def subscribe(crm: str, doors: dict[str, Any], hook: str, env: dict[str, str]) -> None:
    if crm == "amocrm":
        command = [sys.executable, "-m", "connector", "connect", "amocrm"]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, check=False, capture_output=True)
        return
    events = [
        "ONCRMDEALADD",
        "ONCRMDEALUPDATE",
        "ONCRMDEALDELETE",
        "ONCRMCONTACTUPDATE",
        "ONCRMCOMPANYUPDATE",
    ]
    board = doors["board_url"].rsplit("/board", 1)[0]
    requests.post(f"{board}/sandbox/api/bitrix24/webhooks", json={"url": hook, "events": events}, timeout=10)


def hook_times(crm: str, hook: str, doors: dict[str, Any]) -> list[float]:
    """Seconds of 1,000 answers to 50 senders at once."""
    times: list[float] = []
    lock = threading.Lock()
    begin = threading.Barrier(SENDERS)

    def send(sender: int) -> None:
        # The plain client: what it costs must not be what is measured.
        where = urlsplit(hook)
        session = http.client.HTTPConnection(where.netloc, timeout=30)
        session.connect()
        begin.wait()
        for number in range(HOOKS_A_SENDER):
            body = urlencode(hook_body(crm, doors, 900_000_000 + sender * HOOKS_A_SENDER + number))
            started = time.perf_counter()
            session.request("POST", where.path, body, FORM)
            answer = session.getresponse()
            answer.read()
            took = time.perf_counter() - started
            assert answer.status == 200, answer.status
            with lock:
                times.append(took)

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def hook_body(crm: str, doors: dict[str, Any], number: int) -> dict[str, str]:
    """A notice that nothing uses: it is stored like any other, and makes no calls to the CRM afterwards."""
    if crm == "amocrm":
        return {
            "account[subdomain]": "benchmark",
            "account[id]": str(doors["amocrm"]["account_id"]),
            "contacts[update][0][id]": str(number),
            "contacts[update][0][type]": "contact",
            "contacts[update][0][last_modified]": "1795500000",
        }
    return {
        "event": "ONCRMCONTACTUPDATE",
        "data[FIELDS][ID]": str(number),
        "ts": "1795500000",
        "auth[domain]": "portal.example",
        "auth[member_id]": doors["bitrix24"]["member_id"],
        "auth[application_token]": doors["bitrix24"]["application_token"],
    }


def job_times(
    crm: str, doors: dict[str, Any], moves: int, env: dict[str, str]
) -> tuple[list[float], list[float]]:
    """Seconds from a move to the letter's acceptance and to the last file in the deal, one deal at a time."""
    api = doors["board_url"].rsplit("/board", 1)[0] + f"/sandbox/api/{crm}"
    pipeline = next(
        p for p in requests.get(f"{api}/pipelines", timeout=10).json()["pipelines"] if p["name"] == SALES
    )
    stage = next(s for s in pipeline["stages"] if s["name"] == STAGES["letter"])
    letters, files = [], []
    deals = ready_deals(api, pipeline, moves)
    time.sleep(2)
    wait(lambda: is_idle(env), 120, "the new deals' own work")
    for deal_id in deals:
        before = len(requests.get(doors["mail"]["inbox_url"], timeout=10).json())
        started = time.perf_counter()
        body = {"pipeline_id": pipeline["id"], "stage": stage["code"]}
        requests.post(f"{api}/deals/{deal_id}/move", json=body, timeout=10).raise_for_status()
        wait(lambda: file_count(api, deal_id) >= 3, 60, f"documents of deal {deal_id}")  # noqa: B023
        files.append(time.perf_counter() - started)
        wait(lambda: len(requests.get(doors["mail"]["inbox_url"], timeout=10).json()) > before, 60, "letter")  # noqa: B023
        letters.append(time.perf_counter() - started)
        time.sleep(3)  # the rest of the rule's work, and the bucket of the rate limit, are not this deal's
    return letters, files


def ready_deals(api: str, pipeline: dict[str, Any], wanted: int) -> list[int]:
    """Deals before the meeting whose client has an address, an amount and requisites."""
    stage = next(s for s in pipeline["stages"] if s["name"] == STAGES["from"])
    found = []
    for number in range(wanted):
        body = {
            "name": f"Замер {number + 1}",
            "pipeline_id": pipeline["id"],
            "stage": stage["code"],
            "amount": "122000",
            "contact_email": f"client-{number}@example.test",
        }
        answer = requests.post(f"{api}/deals", json=body, timeout=10)
        answer.raise_for_status()
        found.append(answer.json()["id"])
    return found


def file_count(api: str, deal_id: int) -> int:
    deal = requests.get(f"{api}/deals/{deal_id}", timeout=10).json()
    return sum(len(entry["files"]) for entry in deal["timeline"] if entry["kind"] != "letter")


def is_idle(env: dict[str, str]) -> bool:
    command = [sys.executable, "-m", "connector", "status"]
    answer = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True)
    return "(пора 0), идёт 0" in answer.stdout


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False


def wait(question: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            raise SystemExit(f"not seen in {seconds:.0f} s: {what}")
        time.sleep(0.05)


def show(what: str, values: list[float], unit: str) -> None:
    ordered = sorted(values)
    p = statistics.quantiles(ordered, n=100, method="inclusive")
    print(
        f"  {what}: p50 {p[49]:.3f} {unit}, p95 {p[94]:.3f} {unit}, p99 {p[98]:.3f} {unit}, "
        f"max {ordered[-1]:.3f} {unit} (n = {len(ordered)})"
    )


def rss(pid: int) -> float:
    """Resident memory, MB; 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    line = next((line for line in status.read_text().splitlines() if line.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1024


def rss_of_children(pid: int) -> float:
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return sum(rss(int(child)) for file in children for child in file.read_text().split())


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
