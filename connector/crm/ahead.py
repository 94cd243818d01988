"""Calls made ahead of their turn, several at once, with their results in order. Must not know any CRM.

What bounds the memory: no more results wait than calls may be made ahead.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_order(tasks: Iterable[Callable[[], T]], *, ahead: int) -> Iterator[T]:
    """The results of `tasks` in their order, `ahead` of them worked on at once, each by a thread of its own.

    A task is taken from `tasks` only when its work begins, so that results may decide on what follows. An
    error is raised in its turn; what was begun after it is lost. A reader who stops early waits for nothing.
    """
    waiting: deque[Future[T]] = deque()
    for task in tasks:
        waiting.append(_begun(task))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _begun(task: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def work() -> None:
        try:
            result = task()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    # A daemon: a call may wait for its turn for minutes, and nobody may wait for that at the end.
    threading.Thread(target=work, name="crm-ahead", daemon=True).start()
    return future
