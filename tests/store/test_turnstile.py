"""Who writes next: the one that somebody waits for, and nobody starves."""

from __future__ import annotations

import threading

import pytest

from connector.store.turnstile import IN_A_ROW, Turnstile


def order_of(turnstile: Turnstile, waiting: list[bool]) -> list[bool]:
    """In which order threads of these kinds got their turn after one that held it."""
    got: list[bool] = []

    def take(urgent: bool) -> None:
        with turnstile.turn(urgent=urgent, timeout_s=10):
            got.append(urgent)

    threads = [threading.Thread(target=take, args=(urgent,)) for urgent in waiting]
    with turnstile.turn(urgent=False, timeout_s=10):
        for thread in threads:
            thread.start()
        while turnstile._urgent_waiting + turnstile._others_waiting < len(waiting):
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    return got


def test_urgent_goes_first() -> None:
    assert order_of(Turnstile(), [False, False, True, True]) == [True, True, False, False]


def test_others_get_a_turn_among_many_urgent_ones() -> None:
    got = order_of(Turnstile(), [False] + [True] * (IN_A_ROW + 5))
    assert got.index(False) == IN_A_ROW


def test_a_turn_that_does_not_come_is_an_error_and_leaves_no_trace() -> None:
    turnstile = Turnstile()
    with turnstile.turn(urgent=True, timeout_s=10):
        failed = []

        def take() -> None:
            try:
                with turnstile.turn(urgent=True, timeout_s=0.01):
                    pass
            except TimeoutError as error:
                failed.append(error)

        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        assert failed
    assert order_of(turnstile, [True, False]) == [True, False]


def test_an_exception_gives_the_turn_back() -> None:
    turnstile = Turnstile()
    with pytest.raises(ZeroDivisionError), turnstile.turn(urgent=False, timeout_s=1):
        raise ZeroDivisionError
    with turnstile.turn(urgent=False, timeout_s=1):
        pass
