"""The version of rules and templates that is at work, and its change while the service runs.

The folder is looked at every second; a change is read once nothing was saved for a whole look, checked whole,
and takes the place of the version at work only when it is faultless. Otherwise the last good one stays, and
the listeners are told what is wrong. Each process keeps its own: all look at the same folder.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from connector import edited
from connector.edited import Edited, Signature
from connector.errors import ConfigError, Problem

log = logging.getLogger(__name__)

#: How often the folder is looked at, seconds: reading the times of some fifty files takes a millisecond.
LOOK_EVERY_S = 1.0

#: The version that was at work, the faultless one that is about to take its place -> its last mistakes.
Trial = Callable[[Edited, Edited], Sequence[Problem]]


class KitKeeper:
    """Gives everybody the version at work. Safe from many threads.

    `trial` tries a new version beyond what reading finds. Listeners of `on_change` get the new version, those
    of `on_look` the mistakes of every change that was read: none when the folder is well again.
    """

    def __init__(self, templates_dir: Path, trial: Trial | None = None) -> None:
        self._folder = templates_dir
        self._trial = trial
        self._lock = threading.RLock()
        self._current: Edited | None = None
        self._read_at: Signature = {}
        self._changing: Signature | None = None
        self.on_change: list[Callable[[Edited], object]] = []
        self.on_look: list[Callable[[Sequence[Problem]], object]] = []

    @property
    def current(self) -> Edited:
        """The version at work; read when first asked for. Raises ConfigError with every mistake."""
        with self._lock:
            if self._current is None:
                seen = edited.signature(self._folder)
                self._current = edited.read(self._folder)
                self._read_at = seen
            return self._current

    def look(self) -> bool:
        """Look at the folder once; True when another version is at work afterwards."""
        before = self.current
        seen = edited.signature(self._folder)
        if seen == self._read_at:
            self._changing = None
            return False
        if seen != self._changing:
            self._changing = seen  # somebody is saving: wait for a look that finds it as it is now
            return False
        try:
            found = edited.read(self._folder)
            problems = (
                list(self._trial(before, found)) if self._trial and found.digest != before.digest else []
            )
        except ConfigError as error:
            found, problems = before, list(error.problems)
        except OSError as error:  # a file went away while it was read
            log.info("templates are changing: %s", error.strerror, extra={"action": "kit_changing"})
            return False
        if edited.signature(self._folder) != seen:
            return False  # saved again meanwhile: what was read may be half of each
        is_new = self._settle(before, found, problems)
        # Only now: a listener that failed (the store is away) is told again by the next look.
        self._read_at, self._changing = seen, None
        return is_new

    def _settle(self, before: Edited, found: Edited, problems: Sequence[Problem]) -> bool:
        is_new = not problems and found.digest != before.digest
        if problems:
            listed = "; ".join(map(str, problems))
            log.error(
                "the change of the templates is not used, the version before it stays at work: %s",
                listed,
                extra={"action": "kit_refused", "problems": len(problems)},
            )
        elif is_new:
            with self._lock:
                self._current = found
            log.info(
                "new templates are at work", extra={"action": "kit_changed", "version": found.digest[:12]}
            )
            for changed in self.on_change:
                changed(found)
        for told in self.on_look:
            told(problems)
        return is_new


class Watch:
    """Looks at the folder in a thread of its own until it is stopped."""

    def __init__(self, keeper: KitKeeper, every_s: float = LOOK_EVERY_S) -> None:
        self._keeper = keeper
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kit-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End; returns when a look under way has ended."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        log.info("templates are watched", extra={"action": "kit_watch"})
        while not self._stopping.wait(self._every_s):
            try:
                self._keeper.look()
            except Exception:
                log.exception(
                    "looking at the templates failed; it goes on", extra={"action": "kit_look_failed"}
                )
