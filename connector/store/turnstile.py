"""One writer at a time, and the one that somebody waits for goes first.

SQLite lets one connection write. Hooks of a CRM must be answered within two seconds while the worker writes
all the time, so a transaction may be urgent; every tenth turn is nobody's privilege, so that nothing starves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Urgent turns in a row before somebody else gets one.
IN_A_ROW = 9


class Turnstile:
    """A lock with two kinds of people waiting."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._urgent_waiting = 0
        self._others_waiting = 0
        self._urgent_in_a_row = 0

    @contextmanager
    def turn(self, *, urgent: bool, timeout_s: float) -> Iterator[None]:
        """Hold the turnstile. Raises TimeoutError when it was not free in time."""
        with self._changed:
            self._wait(urgent, timeout_s)
            self._taken = True
            self._urgent_in_a_row = self._urgent_in_a_row + 1 if urgent else 0
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    def _wait(self, urgent: bool, timeout_s: float) -> None:
        if urgent:
            self._urgent_waiting += 1
        else:
            self._others_waiting += 1
        try:
            if not self._changed.wait_for(lambda: not self._taken and self._may_go(urgent), timeout_s):
                raise TimeoutError(f"another thread has been writing for {timeout_s:.0f} s")
        finally:
            if urgent:
                self._urgent_waiting -= 1
            else:
                self._others_waiting -= 1

    def _may_go(self, urgent: bool) -> bool:
        others_turn = self._others_waiting > 0 and self._urgent_in_a_row >= IN_A_ROW
        return not others_turn if urgent else others_turn or self._urgent_waiting == 0
