"""The command line: one module a command group in `commands/`; here they are put together.

Mistakes of settings, playbook and CRM end as sentences and an exit code, never as a traceback.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from connector import __version__
from connector.commands.check import check
from connector.commands.connect import connect, install_url
from connector.commands.demo import demo, sandbox
from connector.commands.documents import documents
from connector.commands.history import backfill, import_history, reconcile
from connector.commands.look import dead_letters, status, why
from connector.commands.plan import alarms, plan
from connector.commands.preview import preview
from connector.commands.report import report
from connector.commands.roles import scheduler, serve, web, worker
from connector.commands.russian import speak
from connector.errors import ConfigError, ConnectorError, CrmError
from connector.store.outage import DATABASE_AWAY

#: What a person can do about a CRM's refusal, by its kind.
ADVICE = {
    "reauth": "CRM не приняла ключ: проверьте CRM_TOKEN (amoCRM) или код в адресе CRM_URL (Битрикс24); "
    "если задана CLIENT_ID, что делать, скажет connector status.",
    "config": "Ключу не хватает прав, тариф CRM этого не разрешает, или приложение удалено: что делать, "
    "скажет connector status.",
    "retry": "CRM не отвечает как должна: проверьте CRM_URL и повторите позже.",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(
    __version__, prog_name="connector", message="%(prog)s %(version)s", help="Показать версию."
)
def cli() -> None:
    """Коннектор: регламент отдела продаж, который выполняется сам, внутри amoCRM или Битрикс24."""


for command in (
    demo,
    sandbox,
    check,
    connect,
    install_url,
    serve,
    web,
    worker,
    scheduler,
    status,
    why,
    report,
    documents,
    preview,
    dead_letters,
    backfill,
    import_history,
    reconcile,
    plan,
    alarms,
):
    cli.add_command(command)


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong words on the command line."""
    speak(cli)
    try:
        cli()
    except ConfigError as error:
        width = min(40, max(len(problem.place) for problem in error.problems))
        for problem in error.problems:
            click.echo(f"{problem.place:<{width}}  {problem.message}", err=True)
        click.echo(f"Ошибок: {len(error.problems)}; ничего не запущено.", err=True)
        sys.exit(1)
    except CrmError as error:
        _fail(f"{error.account}: {error}", ADVICE.get(error.kind, ""))
    except ConnectorError as error:
        _fail(str(error))
    except DATABASE_AWAY as error:
        reason = (str(getattr(error, "orig", error)).splitlines() or [""])[0]
        _fail(f"база данных не отвечает: {reason}", "Проверьте DATABASE_URL.")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or type(error).__name__}")


def _fail(what: str, advice: str = "") -> NoReturn:
    click.echo(f"Не получилось: {what}", err=True)
    if advice:
        click.echo(advice, err=True)
    sys.exit(1)
