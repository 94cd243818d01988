"""Reading all deals with their contacts from both CRMs, beside other people's clients, in one run.

    .venv/bin/python benchmarks/crm_clients.py [--deals 20000] [--crm amocrm|bitrix24] [--no-free]

A sandbox with the CRMs' true limits and its usual latency, TLS before it and each client are processes of
their own. Printed for each client: the time as a ratio to ours, the rate it reached as a share of what the
limit allows in that time (amoCRM: 7 a second; Bitrix24: 50 and 2 a second), the requests, how many of them
were refused (429, 503 or a block), CPU for 1,000 deals, and by how much its memory grew at the peak, with a
quarter of the deals and with all. amoCRM is asked with each of the three windows that may stand behind its
«7 a second». Then the same with the limits off and no latency: requests a second and CPU, as ratios to
ours. «Single calls» are made in the background: what our limiter lets through over time, after the burst.

Goals: none of ours refused, at least 85 % of amoCRM's limit and 95 % of Bitrix24's, never slower than the
best of the others that keep the limit, memory flat.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CLIENTS = {
    "amocrm": ["connector-amocrm", "aioamocrm", "amochka"],
    "bitrix24": ["connector-bitrix24", "fast_bitrix24", "b24pysdk"],
}
WINDOWS = {"amocrm": ["bucket", "sliding", "fixed"], "bitrix24": ["bucket"]}
USUAL_LATENCY_S = 0.1
CALLS_S = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--deals", type=int, default=20_000)
    parser.add_argument("--crm", choices=list(CLIENTS), action="append")
    parser.add_argument("--calls", type=int, default=CALLS_S, help="seconds of single calls; 0: none")
    parser.add_argument("--no-free", action="store_true", help="not without limits")
    options = parser.parse_args()
    crms = options.crm or list(CLIENTS)
    print(f"load of the machine at the start: {os.getloadavg()[0]:.1f}")
    with office(options.deals // 4) as few:
        peaks = {name: read(few, name)["peak_mb"] for crm in crms for name in CLIENTS[crm]}
    with office(options.deals) as told:
        for crm in crms:
            for window in WINDOWS[crm]:
                print(f"\n{crm}, {told['deals']} deals, window: {window}")
                limited(told, crm, window, peaks)
            if options.calls:
                calls(told, crm, options.calls)
            if not options.no_free:
                print(f"\n{crm}, limits off, no latency")
                free(told, crm)
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f}")


def limited(told: dict[str, Any], crm: str, window: str, peaks: dict[str, float]) -> None:
    ours = 0.0
    for name in CLIENTS[crm]:
        found = read(told, name, window=window)
        ours = ours or found["seconds"]
        allowed = 7 * found["seconds"] if crm == "amocrm" else 50 + 2 * found["seconds"]
        print(
            f"  {name:20} time ×{found['seconds'] / ours:.2f} ({found['seconds']:.0f} s), "
            f"{found['requests'] / allowed:.0%} of the limit, {found['requests']} requests, "
            f"{found['refused']} refused, CPU {found['cpu_s'] / found['deals'] * 1000:.2f} s per 1,000, "
            f"memory +{peaks[name]:.0f} → +{found['peak_mb']:.0f} MB"
            f"{'' if found['deals'] == told['deals'] else f', DEALS MISSED: {found}'}",
            flush=True,
        )


def calls(told: dict[str, Any], crm: str, seconds: int) -> None:
    found = read(told, f"calls-{crm}", seconds=seconds)
    rate = found["deals"] / found["contacts"] * 1000
    print(
        f"  single calls for {seconds} s: {rate:.2f} a second = {rate / (7 if crm == 'amocrm' else 2):.1%} "
        f"of the limit, {found['refused']} refused"
    )


def free(told: dict[str, Any], crm: str) -> None:
    ours: dict[str, Any] = {}
    for name in CLIENTS[crm]:
        found = read(told, name, limits_on=False, latency_s=0.0)
        ours = ours or found
        rate, our_rate = (one["requests"] / one["seconds"] for one in (found, ours))
        print(
            f"  {name:20} time ×{found['seconds'] / ours['seconds']:.2f}, "
            f"requests a second ×{rate / our_rate:.2f} ({rate:.1f}), "
            f"CPU ×{found['cpu_s'] / ours['cpu_s']:.2f} "
            f"({found['cpu_s'] / found['deals'] * 1000:.2f} s per 1,000 deals)",
            flush=True,
        )


def read(
    told: dict[str, Any],
    name: str,
    *,
    window: str = "bucket",
    limits_on: bool = True,
    latency_s: float = USUAL_LATENCY_S,
    seconds: int = 0,
) -> dict[str, Any]:
    """What one client did, and what the sandbox saw of it."""
    knobs = {"latency_s": latency_s, "limits_on": limits_on, "window": window}
    requests.post(told["bench"], json=knobs, timeout=30).raise_for_status()
    given = json.dumps({**told, "limits_on": limits_on, "seconds": seconds})
    command = [sys.executable, str(HERE / "crm_readers.py"), name, given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    seen: dict[str, Any] = requests.get(told["bench"], timeout=30).json()
    return {**json.loads(done.stdout.splitlines()[-1]), **seen}


@contextlib.contextmanager
def office(deals: int) -> Iterator[dict[str, Any]]:
    """A sandbox with about so many deals in each CRM, for the time of the block."""
    command = [sys.executable, str(HERE / "crm_office.py"), str(deals)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


if __name__ == "__main__":
    main()
