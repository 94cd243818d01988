"""The roles: web, worker and scheduler apart, or all in one process; each stops gracefully."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import click
from waitress.server import create_server

from connector.app import App
from connector.commands.common import opened

#: Threads that answer hooks and pages; a hook takes milliseconds.
WEB_THREADS = 8


@click.command()
def serve() -> None:
    """Всё в одном процессе: приём вебхуков, работа и расписание."""
    with opened() as app:
        run(app, web=True, worker=True, scheduler=True)


@click.command()
def web() -> None:
    """Только приём вебхуков и страницы."""
    with opened() as app:
        run(app, web=True)


@click.command()
def worker() -> None:
    """Только работа: читать сделки, делать документы, отправлять письма."""
    with opened() as app:
        run(app, worker=True)


@click.command()
def scheduler() -> None:
    """Только расписание: отчёты, сверка, отложенные шаги."""
    with opened() as app:
        run(app, scheduler=True)


def run(app: App, *, web: bool = False, worker: bool = False, scheduler: bool = False) -> None:
    """Run roles until the process is told to stop."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # Rules and templates are read now: a mistake in them is said here, not at the first deal.
    app.playbook  # noqa: B018
    with Running(app, web=web, worker=worker, scheduler=scheduler):
        if web:
            click.echo(f"Коннектор слушает http://{app.config.web_host}:{app.config.web_port}", err=True)
        stop.wait()
        click.echo("Останавливаюсь: заканчиваю начатое.", err=True)


class Running:
    """Roles that run in threads of this process, as a context manager."""

    def __init__(self, app: App, *, web: bool, worker: bool, scheduler: bool) -> None:
        self._app = app
        self._roles = (web, worker, scheduler)
        self._stops: list[Callable[[], None]] = []

    def __enter__(self) -> Running:
        web, worker, scheduler = self._roles
        if worker:
            runner = self._app.worker()
            thread = threading.Thread(target=runner.run, name="worker")
            thread.start()
            self._stops += [runner.stop, thread.join]
        if scheduler:
            ticker = self._app.scheduler()
            ticker.start()
            self._stops.append(ticker.stop)
        if web:
            config = self._app.config
            server = create_server(
                self._app.web(), host=config.web_host, port=config.web_port, threads=WEB_THREADS, ident=None
            )
            thread = threading.Thread(target=server.run, name="web", daemon=True)
            thread.start()
            self._stops.insert(0, server.close)
        return self

    def __exit__(self, *_: object) -> None:
        for stop in self._stops:
            stop()
