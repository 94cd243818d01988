"""A real HTTP server that keeps what comes to it: the integration's side of hooks and redirects."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Caught:
    """One request as it came. `headers` are found by name in any case and keep the case they came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    body: bytes


class Catcher:
    """Answers everything with `status`; a context manager."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.caught: list[Caught] = []
        self._came = threading.Condition()
        catcher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                with catcher._came:
                    catcher.caught.append(Caught(self.command, parts.path, query, self.headers, body))
                    catcher._came.notify_all()
                self.send_response(catcher.status)
                self.send_header("Location", "/elsewhere")  # followed by nobody: a redirect is a failure
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = _take

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait_for(self, count: int, timeout_s: float = 20) -> list[Caught]:
        """The requests so far, once there are `count`."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.caught) >= count, timeout_s), self.caught
            return list(self.caught)

    def __enter__(self) -> Catcher:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Answer nobody any more; a second time does nothing."""
        self._server.shutdown()
        self._server.server_close()
