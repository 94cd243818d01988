"""`connect`: from nothing to a working hook; by consent on the CRM's page where that is the way in."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import click

from connector.app import App
from connector.commands.check import against_crm, against_mail, against_provider, show
from connector.commands.common import account_option, chosen_account, opened
from connector.config import CRM_NAMES, AccountConfig, Config
from connector.consent import NotAdministrator
from connector.crm.consent import BadSignature, ForeignAccount, GrantRefused
from connector.errors import ConfigError, CrmError, Problem
from connector.store import facts
from connector.store.sealing import new_key
from connector.web.tabs import tab_path

#: How long the portal may take to answer our question; it sends events within seconds.
ANSWER_WITHIN = timedelta(seconds=15)
LOOK_EVERY = timedelta(seconds=0.5)


@click.command()
@click.argument("crm", type=click.Choice(CRM_NAMES))
@account_option
@click.option("--code", help="Код со страницы согласия или её адрес целиком (для OAuth).")
@click.option("--again", is_flag=True, help="Дать согласие заново, даже если прежнее действует.")
def connect(crm: str, account: str | None, code: str | None, again: bool) -> None:
    """Подключить CRM: проверить доступ, сверить правила с воронками, подписаться на изменения."""
    with opened(connecting=True) as app:
        name = chosen_account(app, account)
        config = app.config.account(name)
        if config.crm != crm:
            raise click.UsageError(f"в настройках аккаунта {name} стоит CRM={config.crm}")
        if crm == "bitrix24" and not config.uses_oauth and "/rest/" not in config.url:
            message = "адрес портала без вебхука годится только вместе с CLIENT_ID и CLIENT_SECRET"
            raise ConfigError([Problem("CRM_URL", message)])
        if config.uses_oauth:
            _be_let_in(app, config, code, again=again)
        elif code or again:
            raise click.UsageError("--code и --again нужны только для OAuth: CLIENT_ID и CLIENT_SECRET")
        client = app.clients[name]
        info = client.account_info()
        rights = "администратор" if info.is_admin else "не администратор, часть вызовов CRM откажет"
        click.echo(f"✓ Доступ есть: «{info.name}», работаем как {info.user_name} ({rights})")
        app.directories.refresh(name)
        with app.db.read() as conn:
            directory = facts.directory(conn, name)
        stages = sum(len(pipeline.stages) for pipeline in directory.pipelines.values())
        click.echo(f"✓ Воронок: {len(directory.pipelines)}, этапов: {stages}, людей: {len(directory.users)}")
        _subscribe(app, config)
        if config.uses_oauth:
            _learn_secret(app, config)
        for problem in against_mail(app):
            click.echo(str(problem), err=True)
        click.echo("История прочитается командой connector backfill, работать начнёт connector serve.")
        problems = against_provider(app, name)
        if name in app.providers and app.providers[name].is_asked:
            click.echo("Адрес уведомлений об оплате (содержит секрет) впишите в кабинет провайдера:")
            click.echo(f"  {app.notice_address(name)}")
        show(problems + against_crm(app, name))


@click.command("install-url")
@account_option
def install_url(account: str | None) -> None:
    """Напечатать адрес страницы согласия: его вписывают в карточку приложения или интеграции."""
    config = Config.from_env(connecting=True)
    names = [one.name for one in config.accounts]
    if account is None and len(names) > 1:
        raise click.UsageError(f"аккаунтов несколько: назовите один из них в --account: {', '.join(names)}")
    if account is not None and account not in names:
        raise click.UsageError(f"нет аккаунта «{account}»: назовите один из них: {', '.join(names)}")
    click.echo(config.account(account or names[0]).redirect_url)


def _subscribe(app: App, config: AccountConfig) -> None:
    address = app.hook_address(config.name)
    try:
        subscription = app.clients[config.name].subscribe(address)
    except CrmError as error:
        raise click.ClickException(f"подписаться не удалось: {error}") from None
    if config.uses_oauth or not subscription.manual_steps:
        click.echo(f"✓ Вебхук {'создан' if subscription.created else 'уже был и работает'}")
    _show_tab(app, config)
    if not subscription.manual_steps:
        return
    click.echo("Осталось сделать руками в CRM (адрес содержит секрет, не пересылайте его):")
    for number, step in enumerate(subscription.manual_steps, 1):
        click.echo(f"  {number}. {step}")


def _show_tab(app: App, config: AccountConfig) -> None:
    """A tab in the CRM's deals with our story of each; the work goes on without it."""
    address = app.config.base_url.rstrip("/") + tab_path(config)
    try:
        if app.clients[config.name].show_page(address):
            click.echo("✓ В карточке сделки есть вкладка «Коннектор»")
    except CrmError as error:
        click.echo(f"Вкладки «Коннектор» в карточке сделки не будет: {error}", err=True)


def _be_let_in(app: App, config: AccountConfig, code: str | None, *, again: bool) -> None:
    """Have consent that works; ConfigError with a fresh key where tokens have no place to be kept."""
    if not app.config.secret_keys:
        message = f"не задана: ею шифруются токены. Добавьте в .env строку SECRET_KEY={new_key()} и повторите"
        raise ConfigError([Problem("SECRET_KEY", message)])
    if code is None and not again and _is_let_in(app, config.name):
        click.echo("✓ Согласие CRM уже есть")
        return
    if code is not None:
        _take(app, config, code)
        return
    before = app.grants.state(config.name)
    click.echo("Откройте под администратором CRM этот адрес и дайте согласие:")
    click.echo(f"  {app.consent.begin(config.name)}")
    click.echo(f"Адрес перенаправления в карточке интеграции: {config.redirect_url}")
    while True:
        answer = click.prompt(
            "Когда страница Коннектора ответит «Готово», нажмите Enter. Если она не открылась, вставьте сюда "
            "её адрес целиком или код",
            default="",
            show_default=False,
        )
        if answer.strip():
            _take(app, config, answer)
            return
        now = app.grants.state(config.name)
        if now is not None and now != before and not now.problem:
            click.echo("✓ Согласие получено")
            return
        click.echo("Согласия ещё нет.")


def _take(app: App, config: AccountConfig, answer: str) -> None:
    """A code as it is, or the address that the CRM led back to; what a person typed here needs no state."""
    text = answer.strip()
    found = parse_qs(urlsplit(text).query).get("code", [""])[0] if "://" in text else text
    if not re.fullmatch(r"[A-Za-z0-9._~-]{8,4096}", found):
        raise click.ClickException("это не код и не адрес с кодом")
    try:
        app.consent.take_code(config.name, found)
    except GrantRefused as error:
        reason = (
            "CRM не узнаёт интеграцию: сверьте CLIENT_ID, CLIENT_SECRET и адрес перенаправления"
            if error.problem == "client"
            else "CRM не приняла код: он действует недолго и один раз, а адрес перенаправления должен "
            "совпадать с карточкой интеграции"
        )
        raise click.ClickException(reason) from None
    except (ForeignAccount, NotAdministrator, BadSignature) as error:
        raise click.ClickException(str(error)) from None
    click.echo("✓ Согласие получено")


def _is_let_in(app: App, account: str) -> bool:
    """Whether there is a grant that our key opens and that the CRM has not turned down."""
    try:
        stored = app.grants.find(account)
    except ConfigError as error:
        click.echo(f"Прежние токены не открыть: {error}", err=True)
        return False
    return stored is not None and stored.problem is None


def _learn_secret(app: App, config: AccountConfig) -> None:
    """Make sure that events can be told from forgeries: the portal answers to a question of ours."""
    if not app.consent.listen(config.name):
        return
    waited = timedelta(0)
    while not app.grants.application_token(config.name) and waited < ANSWER_WITHIN:
        app.clock.sleep(LOOK_EVERY)
        waited += LOOK_EVERY
    if app.grants.application_token(config.name):
        click.echo("✓ События приложения приходят и проверяются")
        return
    click.echo(
        "Событий приложения ещё не было, и без них Коннектор не отличит свои события от чужих: запустите "
        "connector serve (адрес BASE_URL должен открываться из интернета) и повторите эту команду.",
        err=True,
    )
