"""`connector demo` and `connector sandbox`: the product to touch and CRMs to talk to, with no account.

The sandbox is loaded when one of them runs: it is a third of the program, and a worker has no use for it.
"""

from __future__ import annotations

import json
import signal
import threading
import webbrowser
from pathlib import Path

import click

from connector.commands.common import start_log
from connector.errors import ConfigError, Problem
from connector.sandbox.options import STATE_HELP, USUAL_LATENCY_S

TEMPLATES_DIR = Path("templates")

port_option = click.option("--port", default=8090, show_default=True, help="Порт доски; 0 — любой свободный.")
json_option = click.option("--json", "as_json", is_flag=True, help="Адреса и ключи одной строкой JSON.")
history_option = click.option(
    "--history",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Папка с историей отдела (таблицы CSV) вместо сгенерированной.",
)


@click.command()
@port_option
@json_option
@history_option
@click.option("--no-browser", is_flag=True, help="Не открывать браузер.")
def demo(port: int, as_json: bool, history: Path | None, no_browser: bool) -> None:
    """Показать продукт в деле: песочница двух CRM, доска сделок, почтовый ящик. Настраивать нечего."""
    from connector.demo import Demo

    start_log("WARNING")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    if not as_json:
        click.echo("Готовлю песочницу: год истории отдела продаж в двух CRM …")
    try:
        with Demo(port, TEMPLATES_DIR, history=history) as running:
            found = running.describe()
            if as_json:
                click.echo(json.dumps(found, ensure_ascii=False))
            else:
                click.echo(f"\n    {found['board_url']}\n")
                click.echo("Перетащите сделку в «Встреча проведена» и смотрите. Остановить: Ctrl+C.")
            running.read_history()
            if not (no_browser or as_json):
                webbrowser.open(found["board_url"])
            over.wait()
    except OSError as error:
        raise ConfigError([Problem("--port", f"порт {port} не занять: {error.strerror}")]) from None


@click.command()
@port_option
@json_option
@history_option
@click.option("--latency", default=USUAL_LATENCY_S, show_default=True, help="Задержка ответов API, секунды.")
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), help=STATE_HELP)
def sandbox(port: int, as_json: bool, history: Path | None, latency: float, state: Path | None) -> None:
    """Только песочница: API amoCRM и Битрикс24, доска сделок, почтовый ящик, сбои и часы."""
    from connector.sandbox.app import main_loop

    try:
        main_loop(port, as_json=as_json, history=history, latency_s=latency, state=state)
    except OSError as error:
        raise ConfigError([Problem("--port", f"порт {port} не занять: {error.strerror}")]) from None
