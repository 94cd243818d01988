"""`python -m connector.sandbox`: the sandbox alone, for tests and for trying the CRMs' APIs by hand."""

from __future__ import annotations

from pathlib import Path

import click

from connector.errors import ConfigError
from connector.sandbox.app import main_loop
from connector.sandbox.options import STATE_HELP, USUAL_LATENCY_S


@click.command(help="Песочница amoCRM и Битрикс24: API, доска сделок и почтовый ящик на этой машине.")
@click.option("--port", default=8090, show_default=True, help="Порт; 0 — любой свободный.")
@click.option("--json", "as_json", is_flag=True, help="Напечатать адреса и ключи одной строкой JSON.")
@click.option(
    "--history",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Папка с историей отдела вместо сгенерированной.",
)
@click.option("--latency", default=USUAL_LATENCY_S, show_default=True, help="Задержка ответов API, секунды.")
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), help=STATE_HELP)
def main(port: int, as_json: bool, history: Path | None, latency: float, state: Path | None) -> None:
    try:
        main_loop(port, as_json=as_json, history=history, latency_s=latency, state=state)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
