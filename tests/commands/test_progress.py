"""A bar with rate and time left where somebody watches, plain lines now and then where nobody does."""

from __future__ import annotations

import io

from connector.commands.progress import PLAIN_EVERY_S, Progress


class Screen(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


class Watch:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_terminal_shows_bar_share_rate_and_time_left_of_this_run() -> None:
    screen, watch = Screen(is_terminal=True), Watch()
    progress = Progress(screen, watch)
    progress.show("сделки", 1000, 0.25)  # an earlier run had read them
    watch.now = 10
    progress.show("сделки", 2000, 0.5)
    progress.close()
    last = screen.getvalue().split("\r")[-1]
    assert last.startswith("[████████████░░░░░░░░░░░░] сделки: 2\u00a0000, 50%, 100 в секунду, осталось 20 с")
    assert last.endswith("\n")


def test_new_part_begins_a_new_line_with_a_rate_of_its_own() -> None:
    screen, watch = Screen(is_terminal=True), Watch()
    progress = Progress(screen, watch)
    progress.show("сделки", 10, None)
    watch.now = 5
    progress.show("переходы", 100, None)
    progress.close()
    first, second, rest = screen.getvalue().split("\n")
    assert "сделки: 10" in first
    assert "переходы: 100" in second
    assert "в секунду" not in second
    assert rest == ""


def test_file_gets_plain_lines_now_and_then_and_the_last_state() -> None:
    screen, watch = Screen(is_terminal=False), Watch()
    progress = Progress(screen, watch)
    for number in range(1, 101):
        watch.now = number * PLAIN_EVERY_S / 10
        progress.show("сделки", number * 50, number / 100)
    progress.close()
    lines = screen.getvalue().splitlines()
    assert len(lines) == 11
    assert not any("\r" in line or "█" in line for line in lines)
    assert lines[-1].startswith("сделки: 5\u00a0000, 100%, 50 в секунду")
