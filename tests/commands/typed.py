"""`connector …` as a person types it: its exit code and what it prints, without the cost of a new process."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from connector.cli import main


@dataclass(frozen=True, slots=True)
class Said:
    """What one command answered."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


def typed(*words: str, env: Mapping[str, str]) -> Said:
    """Run the entry point with these words and settings. An exception that would be a traceback is raised."""
    out, err = io.StringIO(), io.StringIO()
    code: int | str | None = 0
    with (
        mock.patch.dict(os.environ, env),
        mock.patch.object(sys, "argv", ["connector", *words]),
        _log_restored(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return Said(code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue())


@contextmanager
def _log_restored() -> Iterator[None]:
    """A command sets up the log of its process: that must not outlive it here."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
