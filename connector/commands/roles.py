"""The roles: web, worker and scheduler apart, or all in one process; each stops gracefully."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import click

from connector.app import App
from connector.commands.common import opened
from connector.errors import ConfigError, Problem
from connector.web.server import WebServer


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
    server = _server(app) if web else None
    with Running(app, server=server, worker=worker, scheduler=scheduler):
        if server is not None:
            click.echo(f"Коннектор слушает http://{app.config.web_host}:{server.port}", err=True)
        stop.wait()
        click.echo("Останавливаюсь: заканчиваю начатое.", err=True)


def _server(app: App) -> WebServer:
    try:
        return WebServer(app.config.web_host, app.config.web_port)
    except OSError as error:
        place = f"{app.config.web_host}:{app.config.web_port}"
        raise ConfigError([Problem("WEB_PORT", f"{place} не занять: {error.strerror}")]) from None


class Running:
    """Roles that run in threads of this process, as a context manager.

    `server` is the web role's, already holding its port; None leaves that role out.
    """

    def __init__(self, app: App, *, server: WebServer | None, worker: bool, scheduler: bool) -> None:
        self._app = app
        self._server = server
        self._worker = worker
        self._scheduler = scheduler
        self._stops: list[Callable[[], object]] = []

    def __enter__(self) -> Running:
        watch = self._app.watch()
        self._stops.append(watch.stop)
        if self._worker:
            worker = self._app.worker()
            thread = threading.Thread(target=worker.run, name="worker")
            thread.start()
            threading.Thread(target=self._app.warm_up, name="warm-up", daemon=True).start()
            self._stops += [worker.stop, thread.join]
        if self._scheduler:
            ticker = self._app.scheduler()
            ticker.start()
            self._stops.insert(0, ticker.stop)
        if self._server is not None:
            self._server.start(self._app.web())
            self._stops.insert(0, self._server.stop)
        watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for stop in self._stops:
            stop()
