"""HTTPS before the sandbox, for clients that insist on `https://{account}.amocrm.ru` and the like.

A certificate authority made for one test run signs the names; bytes pass unchanged in both directions.
Knows nothing of HTTP or of any CRM.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import trustme

_CHUNK = 64 * 1024


class Authority:
    """A certificate authority of one test run; `ca_file` is what clients have to trust."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server_context(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)


class TlsFront:
    """Listens on `port` of 127.0.0.1 with a certificate for `names`; sends on to `target_port`."""

    def __init__(self, authority: Authority, names: tuple[str, ...], target_port: int) -> None:
        self.names = names
        self.ca_file = authority.ca_file
        self.client_context = authority.client_context()
        self._context = authority.server_context(*names)
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="tls-front", daemon=True).start()

    @property
    def hosts(self) -> dict[str, int]:
        """The port by name, for whoever stands in for the name server."""
        return dict.fromkeys(self.names, self.port)

    def close(self) -> None:
        # Closing alone does not wake a thread that waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        # A client that dislikes the certificate or goes away mid-way is its own business.
        with contextlib.suppress(OSError):
            client = self._context.wrap_socket(plain, server_side=True)
            with client, socket.create_connection(self._target) as server:
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def front(authority: Authority, names: tuple[str, ...], target_port: int) -> Iterator[TlsFront]:
    """A front for the time of the block."""
    made = TlsFront(authority, names, target_port)
    try:
        yield made
    finally:
        made.close()
