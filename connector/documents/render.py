"""A pool of render processes: documents are made outside the service, within limits, and can be stopped.

A template or a client's name can make typesetting take minutes or gigabytes. Here that ends one child process
and one document, and the next document finds a new child.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from connector.documents.freeze import freeze
from connector.documents.kit import Kit
from connector.documents.places import held
from connector.documents.protocol import pack, receive, send, unpack
from connector.documents.render_worker import MEMORY_BYTES
from connector.errors import ConfigError, HeldError, Problem, RenderError

MIME_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
PANGO_COMMAND = "apt-get install -y libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
#: What the bytes of a document depend on beside its template and its data.
ENGINE = f"weasyprint {version('weasyprint')}, docxtpl {version('docxtpl')}"
_START_S = 60.0
#: How the system ends a process that used up its time on the processor.
_LIMIT_SIGNALS = (-getattr(signal, "SIGXCPU", 24),)


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """One file of a document; `name` is what people see."""

    format: str
    name: str
    mime_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may use. Rows of products add time: a thousand typeset for about ten seconds."""

    wall_s: float = 30.0
    wall_s_a_row: float = 0.05
    cpu_s: int = 30
    memory_bytes: int = MEMORY_BYTES

    def wall(self, rows: int) -> float:
        return self.wall_s + self.wall_s_a_row * rows

    def cpu(self, rows: int) -> int:
        return self.cpu_s + int(self.wall_s_a_row * rows)


class RenderProcessError(RuntimeError):
    """No process could be had for this document: nothing is wrong with it, and another time it is made."""


class RenderPool:
    """Renders in at most `workers` processes, started when first needed. Safe from many threads."""

    def __init__(self, kit: Kit, workers: int = 1, limits: Limits | None = None) -> None:
        self._kit = kit
        self._limits = limits or Limits()
        self._all = [_Child(kit, self._limits) for _ in range(workers)]
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._is_retired = False
        for child in self._all:
            self._idle.put(child)

    def render(self, kind: str, context: Mapping[str, Any]) -> list[RenderedFile]:
        """All files of the document, in the order of its formats.

        Errors: HeldError with everything that is missing or wrong in the data; RenderError for a mistake in
        the template and for a document beyond the limits; ConfigError when the machine lacks Pango;
        RenderProcessError when the service is closing or no process starts: a repeat may help.
        """
        template = self._kit.documents.get(kind)
        if template is None:
            raise RenderError(kind, "нет такого вида документа")
        answer = self._ask(kind, context, only_check=False)
        self._raise_missing(kind, answer["missing"], context)
        said = context.get("документ", {})
        return [
            RenderedFile(format_, template.file_name(said, format_), MIME_TYPES[format_], unpack(content))
            for format_, content in answer["files"]
        ]

    def check(self, kind: str, context: Mapping[str, Any]) -> None:
        """None when the document can be issued: all data are there but its number, which is given after this.

        Cheap, nothing is typeset: numbers must not be spent on documents that are held. Raises as `render`.
        """
        answer = self._ask(kind, context, only_check=True)
        self._raise_missing(kind, [name for name in answer["missing"] if name != "документ.номер"], context)

    def draft(self, kind: str, context: Mapping[str, Any]) -> tuple[list[RenderedFile], list[str]]:
        """The files marked «ЧЕРНОВИК», and the names of what is missing, which they print in its stead.

        Raises as `render`, but HeldError never.
        """
        template = self._kit.documents.get(kind)
        if template is None:
            raise RenderError(kind, "нет такого вида документа")
        answer = self._ask(kind, context, only_check=False, draft=True)
        said = {**context.get("документ", {}), "номер": None}
        files = [
            RenderedFile(
                form, f"Черновик. {template.file_name(said, form)}", MIME_TYPES[form], unpack(content)
            )
            for form, content in answer["files"]
        ]
        return files, [name for name in answer["missing"] if name != "документ.номер"]

    def pdf(self, html: str, assets: Mapping[str, tuple[bytes, str]]) -> bytes:
        """One page of our own, typeset; it may use the kit's fonts and pictures, and `assets` by address.

        Raises as `render`, but HeldError never.
        """
        packed = {address: [pack(content), mime_type] for address, (content, mime_type) in assets.items()}
        return unpack(self._ask("", {}, only_check=False, html=html, assets=packed)["pdf"])

    def warm_up(self) -> None:
        """Typeset an empty page, so that a missing Pango is told at start: ConfigError."""
        self._ask("", {}, only_check=True, warm_up=True)

    def retire(self) -> None:
        """Another pool takes over: documents being made are finished here, and no process waits for more.

        A late caller is still served, by a process that ends right after.
        """
        self._is_retired = True
        resting: list[_Child] = []
        with contextlib.suppress(queue.Empty):
            while True:
                resting.append(self._idle.get_nowait())
        for child in resting:
            child.rest()
            self._idle.put(child)

    def close(self) -> None:
        """End all processes; documents being made fail with RenderProcessError."""
        for child in self._all:
            child.end()

    def __enter__(self) -> RenderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self,
        kind: str,
        context: Mapping[str, Any],
        *,
        only_check: bool,
        warm_up: bool = False,
        draft: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        rows = len(context.get("товары", ()))
        request = {
            **more,
            "kind": kind,
            "context": freeze(context),
            "only_check": only_check,
            "warm_up": warm_up,
            "draft": draft,
            "cpu_s": self._limits.cpu(rows),
        }
        child = self._idle.get()
        try:
            answer = child.ask(request, self._limits.wall(rows))
        finally:
            if self._is_retired:
                child.rest()
            self._idle.put(child)
        if "over_limit" in answer or answer.get("exhausted"):
            raise RenderError(kind, "документ не уложился в предел времени или памяти и остановлен")
        if "no_pango" in answer:
            raise ConfigError([Problem("WeasyPrint", _no_pango(str(answer["no_pango"])))])
        if "error" in answer:
            raise RenderError(str(answer["template"]), str(answer["error"]), answer.get("line"))
        return answer

    def _raise_missing(self, kind: str, names: list[str], context: Mapping[str, Any]) -> None:
        if names:
            title = self._kit.documents[kind].title
            raise held(f"«{title}»", f"documents/{kind}.html", names, context)


class _Child:
    """One render process, started when asked and started anew after its death."""

    def __init__(self, kit: Kit, limits: Limits) -> None:
        self._kit, self._limits = kit, limits
        self._process: subprocess.Popen[bytes] | None = None
        self._cache: tempfile.TemporaryDirectory[str] | None = None
        self._closed = False

    def ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """The answer; {"over_limit": True} when the document used up its time or memory.

        A process that was ended from outside (kill -9, the system short of memory) gets one successor; a
        document that ends both is over its limits, too.
        """
        was_tried = False
        for _ in range(3):
            try:
                process = self._running()
                send(_stream(process.stdin), request)
            except OSError:  # it died while idle
                self._stop()
                continue
            answer, is_late = self._receive(process, timeout_s)
            if answer is not None and not answer.get("exhausted"):
                return answer
            code = self._stop()
            if self._closed:
                raise RenderProcessError("служба останавливается")
            if was_tried or answer is not None or is_late or code in _LIMIT_SIGNALS:
                return {"over_limit": True}
            was_tried = True
        raise RenderProcessError("процесс вёрстки не отвечает")

    def rest(self) -> None:
        """End the process; the next document starts another one."""
        self._stop()

    def end(self) -> None:
        self._closed = True
        self._stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        if self._closed:
            raise RenderProcessError("служба останавливается")
        self._cache = tempfile.TemporaryDirectory(prefix="connector-render-")
        process = subprocess.Popen(
            [sys.executable, "-m", "connector.documents.render_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(self._cache.name),
            cwd=self._cache.name,
            start_new_session=True,  # Ctrl-C in a terminal is for the service, which then ends us
        )
        self._process = process
        files = {name: pack(content) for name, content in self._kit.for_render().items()}
        send(_stream(process.stdin), {"files": files, "memory": self._limits.memory_bytes})
        if self._receive(process, _START_S)[0] is None:
            self._stop()
            raise RenderProcessError("процесс вёрстки не запустился")
        return process

    def _receive(
        self, process: subprocess.Popen[bytes], timeout_s: float
    ) -> tuple[dict[str, Any] | None, bool]:
        """The answer, None when the process ended without one; and whether we ended it for its slowness."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout_s, stop)
        timer.daemon = True
        timer.start()
        try:
            return receive(_stream(process.stdout)), late.is_set()
        finally:
            timer.cancel()

    def _stop(self) -> int | None:
        """End the process; how it ended, None when there was none."""
        process, self._process = self._process, None
        code = None
        if process is not None:
            # One that has closed its output is about to end by itself: let it say how.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
            process.kill()
            code = process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # what it no longer read
                    _stream(stream).close()
        if self._cache is not None:
            self._cache.cleanup()
            self._cache = None
        return code


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "the process was started with pipes"
    return stream


def _environment(home: str) -> dict[str, str]:
    """What a child may know: where Python and its modules are. No setting of ours, no secret."""
    package = str(Path(__file__).parents[2])
    kept = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
    paths = [package, *(path for path in sys.path if path and path != package)]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(paths),
        "LANG": "C.UTF-8",
        "HOME": home,
        "XDG_CACHE_HOME": home,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _no_pango(detail: str) -> str:
    return f"не найдена системная библиотека Pango ({detail}); установите: {PANGO_COMMAND}"


__all__ = ["HeldError", "Limits", "RenderPool", "RenderedFile"]
