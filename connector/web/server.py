"""The web role in a thread of this process, with a graceful end."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from flask import Flask
from waitress.server import create_server

#: Threads that answer hooks and pages; a hook takes milliseconds.
WEB_THREADS = 8

#: The server itself reads no more than this of a body; the receiver's own limit is smaller.
MAX_REQUEST_BYTES = 2 * 1024 * 1024


class WebServer:
    """Serves a Flask application. The port is taken when the object is made: OSError when somebody has it."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
        self.port: int = self._socket.getsockname()[1]
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def start(self, flask: Flask) -> None:
        """Begin to answer."""
        self._server = create_server(
            flask,
            sockets=[self._socket],
            threads=WEB_THREADS,
            ident=None,
            clear_untrusted_proxy_headers=False,
            max_request_body_size=MAX_REQUEST_BYTES,
        )
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; what is being answered is finished."""
        if self._server is not None and self._thread is not None:
            # The server's own loop closes its sockets: another thread would pull them from under it.
            # It may do so before the wake-up that was to tell it: then there is nobody left to wake.
            with contextlib.suppress(OSError):
                self._server.trigger.pull_trigger(self._close_connections)
            self._thread.join(timeout=10)
            self._server.task_dispatcher.shutdown()
        self._socket.close()

    def _close_connections(self) -> None:
        for connection in list(self._server._map.values()):
            connection.close()
