"""A sandbox of both CRMs for `crm_clients.py`, in a process of its own, behind TLS and real names.

    python benchmarks/crm_office.py DEALS

Prints one JSON line with addresses and secrets when ready. `POST /bench` empties the counters and the limits,
and sets the knobs that its JSON names; `GET /bench` tells how many requests came and how many were refused.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from flask import Response, jsonify, request  # noqa: E402

from connector.sandbox.app import Sandbox  # noqa: E402
from connector.sandbox.bitrix24.limits import LeakyBucket, OperatingBook  # noqa: E402
from connector.sandbox.generate import ZONE, generate  # noqa: E402
from connector.sandbox.history_files import write_history  # noqa: E402
from tests.clients.tls_front import Authority, TlsFront  # noqa: E402

AMO, B24 = "sandbox.amocrm.ru", "sandbox.bitrix24.ru"
#: Deals that the generated year holds at one new enquiry a working day.
DEALS_PER_DAILY_ENQUIRY = 244


class Counter:
    """Counts the requests to the two APIs, and those that were refused."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self.requests = self.refused = 0

    def told(self) -> dict[str, int]:
        with self._lock:
            return {"requests": self.requests, "refused": self.refused}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(("/api/", "/rest/")):
            return self._app(environ, start_response)
        with self._lock:
            self.requests += 1

        def start(status: str, *args: Any) -> Any:
            if status[:3] in ("403", "429", "503"):
                with self._lock:
                    self.refused += 1
            return start_response(status, *args)

        return self._app(environ, start)


def main() -> None:
    if sys.argv[1] == "--tls":
        front(Path(sys.argv[2]), int(sys.argv[3]))
    with tempfile.TemporaryDirectory() as folder:
        serve(int(sys.argv[1]), Path(folder))


def front(folder: Path, port: int) -> None:
    """TLS is a process of its own too: it would take time from the CRM's."""
    tls = TlsFront(Authority(folder), (AMO, B24), port)
    print(tls.port, flush=True)
    threading.Event().wait()


def serve(deals: int, folder: Path) -> None:
    history = folder / "history"
    write_history(
        generate(datetime.now(ZoneInfo(ZONE)).date(), per_day=deals / DEALS_PER_DAILY_ENQUIRY), history
    )
    with Sandbox(history=history) as sandbox:
        command = [sys.executable, __file__, "--tls", str(folder), sandbox.base_url.rpartition(":")[2]]
        tls = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            sandbox.amocrm.world.base_url = f"https://{AMO}"
            counter = Counter(sandbox.flask.wsgi_app)
            sandbox.flask.wsgi_app = counter  # type: ignore[method-assign]
            add_bench(sandbox, counter)
            told = {
                "bench": f"{sandbox.base_url}/bench",
                "tls_port": int(tls.stdout.readline()),  # type: ignore[union-attr]
                "ca_file": str(folder / "ca.pem"),
                "amo": f"https://{AMO}",
                "amo_token": sandbox.amocrm.oauth.token,
                "b24": sandbox.describe()["bitrix24"]["webhook_url"].replace(
                    sandbox.base_url, f"https://{B24}"
                ),
                "deals": sum(not deal.is_deleted for deal in sandbox.portals["amocrm"].deals.values()),
            }
            print(json.dumps(told), flush=True)
            sys.stdin.read()
        finally:
            tls.terminate()


def add_bench(sandbox: Sandbox, counter: Counter) -> None:
    def change() -> Response:
        knobs = request.get_json()
        sandbox.faults.latency_s = knobs["latency_s"]
        sandbox.faults.limits_on = knobs["limits_on"]
        sandbox.amocrm.world.switches.rate_window = knobs["window"]
        sandbox.amocrm.gate.unblock()
        sandbox.amocrm.gate._windows.clear()
        sandbox.bitrix24.site.bucket = LeakyBucket()
        sandbox.bitrix24.site.operating = OperatingBook()
        counter.clear()
        return jsonify({})

    sandbox.flask.add_url_rule("/bench", "bench", lambda: jsonify(counter.told()), methods=["GET"])
    sandbox.flask.add_url_rule("/bench", "bench_set", change, methods=["POST"])


if __name__ == "__main__":
    main()
