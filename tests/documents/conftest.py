"""One pool of render processes for all document tests: starting one costs a second."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.documents.render import RenderPool
from tests.documents.hostile import SECRET_TEXT
from tests.documents.samples import kit


@pytest.fixture(scope="session")
def pool() -> Iterator[RenderPool]:
    with RenderPool(kit(), 1) as pool:
        yield pool


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """An address, and all that was ever asked of it."""
    heard: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.append(self.request.recv(200))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret.txt"
    file.write_text(SECRET_TEXT)
    return file
