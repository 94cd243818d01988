"""The sandbox measured with a long past: loading, requests a second of both dialects, deep pages, memory.

    .venv/bin/python benchmarks/sandbox.py [--history FOLDER | --deals 100000] [--requests 500] [--state]

The sandbox runs as a process of its own, without its usual latency and without the rate limits. With
`--state` everything is measured again with the state kept in a folder, and the restart from it. Goal: 100,000
deals in 35 s in memory and 60 s with the state, in about 1 GB, on 2 cores; a deep page about as quick as the
first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import requests

from connector.sandbox.generate import generate
from connector.sandbox.history_files import write_history

ROOT = Path(__file__).resolve().parent.parent
LAST_DAY = date(2026, 11, 24)
DAYS = 730
#: Deals that `generate` makes of one enquiry a working day over two years, about.
DEALS_A_RATE = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--history", type=Path)
    parser.add_argument("--deals", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--state", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        history = options.history or made(options.deals, Path(folder) / "history")
        count = sum(1 for _ in (history / "deals.csv").open(encoding="utf-8")) - 1
        print(f"{count} deals")
        measure("in memory", history, options.requests, [])
        if options.state:
            kept = ["--state", f"{folder}/state"]
            measure("first start with --state", history, options.requests, kept)
            size = sum(file.stat().st_size for file in Path(folder, "state").iterdir())
            print(f"  state file: {size / 2**20:.0f} MB")
            measure("restart from --state", history, options.requests, kept)


def made(deals: int, folder: Path) -> Path:
    write_history(generate(LAST_DAY, days=DAYS, per_day=deals / DEALS_A_RATE), folder)
    return folder


def measure(title: str, history: Path, count: int, more: list[str]) -> None:
    command = [sys.executable, "-m", "connector.sandbox", "--port", "0", "--json", "--latency", "0"]
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, "--history", str(history), *more], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    try:
        doors = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        print(f"\n{title}\n  ready after {time.monotonic() - started:.1f} s, peak {peak_mb(process.pid)} MB")
        base = doors["amocrm"]["base_url"]
        requests.patch(f"{base}/sandbox/api/faults", json={"limits_on": False}, timeout=60)
        for name, call in calls(doors).items():
            call(0)  # what is made once at the first question is not the question's price
            times = [timed(call, number) for number in range(1, count + 1)]
            rate, p99 = count / sum(times), statistics.quantiles(times, n=100)[98]
            print(f"  {name:34} {rate:7.0f} requests/s, p99 {p99 * 1000:6.1f} ms")
        print(f"  peak {peak_mb(process.pid)} MB")
    finally:
        process.terminate()
        process.wait(60)


def calls(doors: dict[str, Any]) -> dict[str, Callable[[int], requests.Response]]:
    """What is measured; each is called with the number of the request."""
    amo, b24 = requests.Session(), requests.Session()
    amo.headers["Authorization"] = f"Bearer {doors['amocrm']['token']}"
    api, rest = f"{doors['amocrm']['base_url']}/api/v4", doors["bitrix24"]["webhook_url"].rstrip("/")
    lead = amo.get(f"{api}/leads?limit=1", timeout=60).json()["_embedded"]["leads"][0]["id"]

    def page(number: int, pages: int) -> int:
        return 1 + number * 37 % pages

    def items(**params: Any) -> requests.Response:
        return b24.post(f"{rest}/crm.item.list", json={"entityTypeId": 2, **params}, timeout=60)

    def change(number: int) -> requests.Response:
        return amo.patch(f"{api}/leads/{lead}", json={"price": number}, timeout=60)

    def update(number: int) -> requests.Response:
        body = {"entityTypeId": 2, "id": lead, "fields": {"opportunity": number}}
        return b24.post(f"{rest}/crm.item.update", json=body, timeout=60)

    return {
        "amoCRM: one lead": lambda n: amo.get(f"{api}/leads/{lead}", timeout=60),
        "amoCRM: 50 leads, any page": lambda n: amo.get(
            f"{api}/leads?limit=50&page={page(n, 1900)}", timeout=60
        ),
        "amoCRM: 50 events, any page": lambda n: amo.get(
            f"{api}/events?limit=50&page={page(n, 7000)}", timeout=60
        ),
        "amoCRM: change a lead": change,
        "Bitrix24: one deal": lambda n: b24.post(f"{rest}/crm.deal.get", json={"id": lead}, timeout=60),
        "Bitrix24: 50 deals, any start": lambda n: items(start=50 * (page(n, 1900) - 1)),
        "Bitrix24: 50 deals after any id": lambda n: items(
            start=-1, filter={">id": lead + page(n, 95_000)}, order={"id": "ASC"}
        ),
        "Bitrix24: change a deal": update,
    }


def timed(call: Callable[[int], requests.Response], number: int) -> float:
    started = time.perf_counter()
    answer = call(number)
    spent = time.perf_counter() - started
    assert answer.status_code in (200, 204), (answer.status_code, answer.text[:500])
    return spent


def peak_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
