"""The composition root: builds every object once and wires them; the only module that knows them all."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

from connector import access
from connector.actions.base import Tools
from connector.activity_feed import ACTIVITIES, GONE, ActivityFeed
from connector.backfill import Backfill
from connector.cards import CardReader
from connector.client_page import ClientPage
from connector.clock import Clock, SystemClock
from connector.config import Config
from connector.consent import Consent
from connector.crm.base import CrmClient
from connector.crm.consent import OAuthServer
from connector.crm.http import MAX_TURN_WAIT, RateLimiter
from connector.crm.oauth import OAuthTokens
from connector.crm.registry import CRMS
from connector.crm.share import BackgroundShare
from connector.crm.tokens import TokenSource
from connector.daily_control import DailyControl
from connector.deciding import Deciding
from connector.delivery.email import EmailChannel
from connector.delivery.messengers import AppriseMessenger, messengers
from connector.directory import Directories
from connector.documents.kit import Kit
from connector.documents.pools import RenderPools
from connector.documents.render import RenderPool, RenderProcessError
from connector.edited import Edited, trial_of_change
from connector.effects import Effects
from connector.errors import ConnectorError, CrmError
from connector.figures.snapshot import Snapshots
from connector.happenings import Happenings
from connector.history_import import HistoryImport
from connector.hook_watch import HookWatch
from connector.intake import Intake
from connector.kit_alarm import KitAlarm
from connector.kit_keeper import KitKeeper, Watch
from connector.links import Links
from connector.outlook import Outlook
from connector.paying import Paying
from connector.payments.base import PaymentProvider
from connector.payments.registry import PROVIDERS
from connector.playbook.model import Playbook
from connector.playbook.schedule import cron_of
from connector.reconcile import Reconcile
from connector.register import Register
from connector.report_alarm import ReportAlarm
from connector.report_files import ReportFiles
from connector.report_pages import LINK_DAYS, ReportPages
from connector.reporting import Reporting
from connector.scheduler import Scheduler, Tick
from connector.settling import Settling
from connector.status import Status, gather
from connector.store import change_log, facts, inbox, missed
from connector.store import report_pages as stored_pages
from connector.store.database import Database
from connector.store.grants import Grants
from connector.store.jobs import BACKGROUND, DEFAULT_QUEUE, Job, JobQueue
from connector.store.rate_limits import SharedLimiter
from connector.store.schedules import Schedule, sync
from connector.store.sealing import Sealer
from connector.store.wakeup import WakeUp
from connector.targets import Targets
from connector.web.admin import admin
from connector.web.client_page import client_pages
from connector.web.health import health
from connector.web.oauth import oauth_pages
from connector.web.payments import notice_path, payment_pages
from connector.web.preview import preview_pages
from connector.web.register import register_pages
from connector.web.report_page import report_pages
from connector.web.tabs import tabs
from connector.web.webhooks import hook_path, webhooks
from connector.worker import Handler, Worker

log = logging.getLogger(__name__)

#: How long one call of a background job may keep a thread waiting before the job is put back.
BACKGROUND_PATIENCE = timedelta(seconds=30)

#: Reading the past waits out the longest pauses that CRMs impose: a quarter of an hour after too many
#: requests, ten minutes when a method has used up its execution time.
HISTORY_PATIENCE = timedelta(minutes=30)

#: Events carry names and addresses of people: they are kept for questions, not for ever.
KEEP_EVENTS = timedelta(days=30)

#: How many webhooks were missed on a day is worth knowing for a year and a month.
KEEP_MISSED = timedelta(days=396)

#: Copies of the facts that were not asked for so long are made anew.
KEEP_CHANGES = timedelta(days=7)

#: Jobs that cannot be done without an answer of the CRM: it took our key then.
ALWAYS_ASK = ("reconcile", "directory")

#: What jobs are told that begin by the clock.
ARGS: Mapping[str, Mapping[str, Any]] = {ACTIVITIES: {"invoices": True}}

#: Until the CRM has told its own.
DEFAULT_TIMEZONE = "Europe/Moscow"


class App:
    """One installation. Parts are made when first needed, so each role pays only for its own.

    `limiter`: the rate limit of the CRMs; without one, the limit that all processes share through the store.
    """

    def __init__(
        self, config: Config, clock: Clock | None = None, limiter: RateLimiter | None = None
    ) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self._limiter = limiter
        self._stack = ExitStack()

    # The kit: what people edit ------------------------------------------------------------------------------

    @cached_property
    def kit_keeper(self) -> KitKeeper:
        """The version of rules and templates at work; it changes while a role runs."""
        return KitKeeper(self.config.templates_dir, trial_of_change)

    @property
    def edited(self) -> Edited:
        """All that people edit, as it is at work now; ConfigError names every mistake in it."""
        return self.kit_keeper.current

    @property
    def playbook(self) -> Playbook:
        return self.edited.playbook

    @property
    def kit(self) -> Kit:
        """Documents, messages and own companies."""
        return self.edited.kit

    @cached_property
    def kit_alarm(self) -> KitAlarm:
        names = [account.name for account in self.config.accounts]
        return KitAlarm(self.db, self.queue, names, self.clock)

    # The store and the engine -------------------------------------------------------------------------------

    @cached_property
    def db(self) -> Database:
        db = Database(self.config.database_url)
        self._stack.callback(db.close)
        return db

    @cached_property
    def wakeup(self) -> WakeUp:
        wakeup = WakeUp(self.db)
        self._stack.callback(wakeup.close)
        return wakeup

    @cached_property
    def queue(self) -> JobQueue:
        return JobQueue(self.db, self.clock, self.wakeup.notify)

    @cached_property
    def limiter(self) -> RateLimiter:
        return self._limiter or SharedLimiter(self.db, self.clock)

    @cached_property
    def grants(self) -> Grants:
        return Grants(self.db, self.clock, Sealer(self.config.secret_keys))

    @cached_property
    def oauth_servers(self) -> Mapping[str, OAuthServer]:
        """The OAuth side of each account that has a client id."""
        return {
            account.name: CRMS[account.crm].make_oauth(account, limiter=self.limiter, clock=self.clock)
            for account in self.config.accounts
            if account.client_id
        }

    @cached_property
    def tokens(self) -> Mapping[str, TokenSource]:
        """The authorization of each account that is connected by consent, shared by all its clients."""
        return {
            account.name: OAuthTokens(account.name, self.grants, self.oauth_servers[account.name], self.clock)
            for account in self.config.accounts
            if account.uses_oauth
        }

    @cached_property
    def clients(self) -> Mapping[str, CrmClient]:
        """For what people wait for."""
        return self._make_clients(self.limiter, MAX_TURN_WAIT)

    @cached_property
    def background_clients(self) -> Mapping[str, CrmClient]:
        """For jobs that nobody waits for: they take a share of the rate limit and let others pass."""
        return self._make_clients(BackgroundShare(self.limiter, self.clock), BACKGROUND_PATIENCE)

    @cached_property
    def history_clients(self) -> Mapping[str, CrmClient]:
        """Like `background_clients`, for a reading that cannot be put back and begun again every time."""
        return self._make_clients(BackgroundShare(self.limiter, self.clock), HISTORY_PATIENCE)

    @cached_property
    def render_pools(self) -> RenderPools:
        pools = RenderPools(self.config.render_workers)
        self._stack.callback(pools.close)
        return pools

    @property
    def render_pool(self) -> RenderPool:
        """Render processes of the kit at work."""
        return self.render_pools.of(self.kit)

    # Use cases ----------------------------------------------------------------------------------------------

    @cached_property
    def directories(self) -> Directories:
        """As a deal that moved needs them: at once."""
        return self._make_directories(self.clients)

    @cached_property
    def intake(self) -> Intake:
        return Intake(
            self.db,
            self.queue,
            self.clients,
            self.directories,
            self.deciding,
            self.cards,
            self.clock,
            self.activity_feed,
        )

    @cached_property
    def activity_feed(self) -> ActivityFeed:
        return ActivityFeed(self.db, self.queue, self.background_clients, self.clock)

    @cached_property
    def deciding(self) -> Deciding:
        return Deciding(self.queue, lambda: self.playbook)

    @cached_property
    def happenings(self) -> Happenings:
        return Happenings(
            self.db, self.queue, self.clients, self.directories, self.deciding, self.cards, self.clock
        )

    @cached_property
    def effects(self) -> Effects:
        return Effects(
            self.db, self.queue, self.tools, self.clock, self.config.base_url, lambda: self.kit.titles
        )

    @cached_property
    def consent(self) -> Consent:
        return Consent(self.db, self.grants, self.oauth_servers, self.queue)

    @cached_property
    def hook_watch(self) -> HookWatch:
        return HookWatch(self.db, self.background_clients, self.hook_address, self.clock)

    def hook_address(self, account: str) -> str:
        """Where the account's CRM must call us. Holds a secret."""
        return self.config.base_url.rstrip("/") + hook_path(self.config.account(account))

    @cached_property
    def providers(self) -> Mapping[str, PaymentProvider]:
        """The payment provider of each account that has one."""
        return {
            account.name: PROVIDERS[account.payment.provider](
                account.payment,
                lambda deal_id, amount, name=account.name: self.clients[name].payment_link(deal_id, amount),  # type: ignore[misc]
            )
            for account in self.config.accounts
            if account.payment.provider
        }

    @cached_property
    def paying(self) -> Paying:
        accounts = {account.name: account for account in self.config.accounts}
        return Paying(self.db, accounts, self.providers, self.config.base_url, self.clock)

    @cached_property
    def settling(self) -> Settling:
        return Settling(self.db, self.queue, self.providers, self.paying, self.happenings, self.clock)

    def notice_address(self, account: str) -> str:
        """Where the account's payment provider must call us. Holds a secret."""
        return self.config.base_url.rstrip("/") + notice_path(self.config.account(account))

    @cached_property
    def register(self) -> Register:
        return Register(self.db, self.queue, lambda: self.kit, self.clock.now)

    @cached_property
    def links(self) -> Links:
        keys = {account.name: account.link_secret for account in self.config.accounts}
        return Links(self.db, keys, self.config.base_url, lambda: self.kit, self.clock)

    @cached_property
    def client_page(self) -> ClientPage:
        return ClientPage(
            self.db,
            self.queue,
            self.links,
            self.happenings,
            lambda: self.kit,
            self.clock,
            pay_url=self.paying.pay_url,
        )

    @cached_property
    def reconcile(self) -> Reconcile:
        return Reconcile(self.db, self.background_clients, self.intake, self.clock)

    @cached_property
    def backfill(self) -> Backfill:
        return Backfill(self.db, self.history_clients, self.directories, self.intake, self.clock)

    @cached_property
    def email(self) -> EmailChannel:
        return EmailChannel(self.config.mail)

    @cached_property
    def reporting(self) -> Reporting:
        return Reporting(
            db=self.db,
            clients=self.clients,
            email=self.email,
            sender=self.config.mail.sender,
            templates=lambda: self.edited.reports,
            playbook=lambda: self.playbook,
            targets=self.targets,
            loaded=self.history_import.loaded,
            snapshots=self.snapshots,
            clock=self.clock,
            make_files=ReportFiles(lambda: self.edited, self.render_pools.of).make,
            pages=self.report_pages,
            messengers=self.messengers,
            alarm=self.report_alarm,
        )

    @cached_property
    def report_pages(self) -> ReportPages:
        keys = {account.name: account.link_secret for account in self.config.accounts}
        return ReportPages(
            self.db,
            keys,
            self.config.base_url,
            lambda: self.edited.reports,
            self.deal_url,
            self.clock,
        )

    @cached_property
    def report_alarm(self) -> ReportAlarm:
        sender = self.config.mail.sender
        return ReportAlarm(self.db, self.queue, lambda: self.playbook, self.email, sender, self.clock)

    @cached_property
    def messengers(self) -> Mapping[str, Mapping[str, AppriseMessenger]]:
        """Of each account by name; ConfigError names the variables that cannot be read."""
        return {account.name: messengers(account.messengers) for account in self.config.accounts}

    def deal_url(self, account: str, deal_id: str) -> str:
        """Where a person opens the deal in the CRM."""
        config = self.config.account(account)
        parts = urlsplit(config.url)
        return f"{parts.scheme}://{parts.netloc}{CRMS[config.crm].deal_page.format(deal_id)}"

    @cached_property
    def daily_control(self) -> DailyControl:
        return DailyControl(
            *(self.db, self.queue, self.background_clients, self.targets, lambda: self.playbook),
            self.snapshots,
            self.clock,
        )

    @cached_property
    def outlook(self) -> Outlook:
        return Outlook(
            *(self.db, self.queue, self.targets, lambda: self.playbook),
            self.history_import.loaded,
            self.snapshots,
            self.clock,
        )

    @cached_property
    def snapshots(self) -> Snapshots:
        """Copies of the facts that figures are computed over."""
        return Snapshots(self.config.figures_dir)

    @cached_property
    def history_import(self) -> HistoryImport:
        return HistoryImport(self.db, self.clock)

    @cached_property
    def targets(self) -> Targets:
        return Targets(self.db, lambda: self.playbook, self.history_import.loaded, self.clock)

    @cached_property
    def cards(self) -> CardReader:
        return CardReader(self.clients, self.clock)

    def tools(self, account: str) -> Tools:
        """What the actions of one account may use."""
        directory, row = self.directories.of(account)
        edited = self.edited  # one version for all of it, whatever is saved meanwhile
        return Tools(
            db=self.db,
            clock=self.clock,
            client=self.clients[account],
            directory=directory,
            account_row=row,
            playbook=edited.playbook,
            card=self.cards.of,
            kit=edited.kit,
            render_pool=self.render_pools.of(edited.kit),
            email=self.email,
            sender=self.config.mail.sender,
            pay_url=self.paying.pay_url,
            document_url=self.links.url,
        )

    def status(self) -> Status:
        return gather(self.config, self.db, self.queue, self.clock, self.grants, self.kit_alarm.fault())

    # Roles --------------------------------------------------------------------------------------------------

    def prepare(self, *, connecting: bool = False) -> None:
        """Bring the store up to date and make the accounts known; no CRM is asked.

        ConfigError when SECRET_KEY does not open the stored tokens, unless they are about to be replaced.
        """
        self.db.upgrade()
        if not connecting:
            self.grants.reseal([account.name for account in self.config.accounts if account.uses_oauth])
        for account in self.config.accounts:
            self.directories.ensure(account.name)

    def web(self) -> Flask:
        """The receiver and the pages, for any WSGI server."""
        flask = Flask("connector", static_folder=None)
        flask.register_blueprint(
            webhooks(self.config, self.intake, self.db, self.clock, self.grants.application_token)
        )
        flask.register_blueprint(
            oauth_pages(self.config, self.consent, self.oauth_servers.__getitem__, self.db, self.clock)
        )
        flask.register_blueprint(tabs(self.config, self.db, self.effects, self.grants.application_token))
        flask.register_blueprint(health(self.db))
        flask.register_blueprint(
            admin(
                self.db, self.status, self.effects, self.reporting, self.config.admin_password, self.clock.now
            )
        )
        accounts = {account.name: account for account in self.config.accounts}
        flask.register_blueprint(
            payment_pages(accounts, self.providers, self.paying, self.settling, self.db, self.clock)
        )
        names = set(accounts)
        flask.register_blueprint(
            preview_pages(self.tools, lambda: self.kit, names, self.config.admin_password)
        )
        flask.register_blueprint(
            register_pages(self.register, names, self.config.admin_password, self.clock.now)
        )
        crm_hosts = {urlsplit(account.url).netloc for account in self.config.accounts}
        flask.register_blueprint(client_pages(self.client_page, lambda: self.kit, self.clock, crm_hosts))
        flask.register_blueprint(report_pages(self.report_pages, self.clock))
        return flask

    def worker(self) -> Worker:
        """Works off jobs until it is stopped; at the start it asks each CRM what was missed meanwhile."""
        with self.db.begin() as conn:
            for account in self.config.accounts:
                for task in ("directory", "reconcile", ACTIVITIES):
                    self.queue.enqueue(
                        conn, task, dict(ARGS.get(task, {})), account=account.name, queue=BACKGROUND
                    )
        self.kit_keeper.on_change.append(lambda _: self.warm_up())
        return Worker(
            self.queue,
            self._handlers(),
            clock=self.clock,
            threads=self.config.worker_threads,
            queue_name=(DEFAULT_QUEUE, BACKGROUND),
            wakeup=self.wakeup,
            on_dead=self._on_dead,
        )

    def scheduler(self) -> Scheduler:
        """Ticks; what is due becomes jobs. Schedules follow the playbook when it is changed."""
        self._follow_playbook()
        self.kit_keeper.on_change.append(lambda _: self._follow_playbook())
        forget = Tick("inbox", timedelta(hours=1), self._forget_events)
        ask = Tick("payments", timedelta(minutes=1), self.settling.ask_due)
        return Scheduler(self.db, self.queue, self.clock, [forget, ask])

    def watch(self) -> Watch:
        """Follows what people edit while a role runs: a faultless change is at work within seconds."""
        self.kit_keeper.on_look.append(self.kit_alarm.told)
        self.kit_alarm.told([])  # we have just started with it: whatever was wrong is mended
        return Watch(self.kit_keeper)

    def warm_up(self) -> None:
        """Start a render process before the first document needs it; a missing Pango is told here."""
        try:
            self.render_pool.warm_up()
        except ConnectorError as error:
            log.error("documents cannot be drawn: %s", error, extra={"action": "no_documents"})
        except RenderProcessError:
            pass  # we are told to stop already

    def close(self) -> None:
        """Give back what the parts hold: processes, connections, threads."""
        self._stack.close()

    # Jobs ---------------------------------------------------------------------------------------------------

    def _handlers(self) -> Mapping[str, Handler]:
        background_directories = self._make_directories(self.background_clients)
        handlers: dict[str, Handler] = {
            "event": self.intake.handle,
            "delivery": self.intake.sort_out,
            "happening": self.happenings.handle,
            "effect": self.effects.handle,
            "payment": self.settling.handle,
            "report": self.reporting.handle,
            "directory": lambda job: background_directories.refresh(job.account),
            "reconcile": lambda job: self._discard(self.reconcile.run(job.account)),
            ACTIVITIES: self.activity_feed.read,
            GONE: self.activity_feed.check_gone,
            "recheck_held": lambda job: self._discard(self.effects.recheck_held(job.account)),
            "webhook": lambda job: self._discard(self.hook_watch.check(job.account)),
            "control": self.daily_control.handle,
            "answers": lambda job: self._discard(self.daily_control.collect_answers(job.account)),
        }
        return {task: self._watched(task, handler) for task, handler in handlers.items()}

    def _watched(self, task: str, handler: Handler) -> Handler:
        """The handler, with a note in the store where the CRM refuses our key, or takes it again."""

        def handle(job: Job) -> None:
            try:
                handler(job)
            except CrmError as error:
                if error.kind == "reauth":
                    with self.db.begin() as conn:
                        access.refused(conn, job.account, self.clock.now())
                raise
            if task in ALWAYS_ASK:
                with self.db.begin() as conn:
                    if access.accepted(conn, job.account):
                        self.queue.hurry(conn, job.account)

        return handle

    def _make_clients(self, limiter: RateLimiter, patience: timedelta) -> Mapping[str, CrmClient]:
        return {
            account.name: CRMS[account.crm].make_client(
                account,
                limiter=limiter,
                clock=self.clock,
                patience=patience,
                tokens=self.tokens.get(account.name),
            )
            for account in self.config.accounts
        }

    def _follow_playbook(self) -> None:
        """Bring what the store holds of the playbook up to its present version."""
        for account in self.config.accounts:
            self.directories.mark_stages(account.name)
            with self.db.begin() as conn:
                sync(conn, account.name, self._schedules(account.name), self.clock.now())

    def _make_directories(self, clients: Mapping[str, CrmClient]) -> Directories:
        crms: dict[str, str] = {account.name: account.crm for account in self.config.accounts}
        return Directories(self.db, clients, crms, self.clock, lambda: self.playbook.stages)

    def _forget_events(self) -> int:
        now = self.clock.now()
        with self.db.begin() as conn:
            missed.prune(conn, (now - KEEP_MISSED).date())
            change_log.prune(conn, now - KEEP_CHANGES)
            stored_pages.prune(conn, now - timedelta(days=LINK_DAYS + 1))
            return inbox.prune(conn, now - KEEP_EVENTS)

    @staticmethod
    def _discard(_: Any) -> None:
        """A handler returns nothing; what it found is in the log."""

    def _on_dead(self, job: Job, error: str) -> None:
        if job.task == "effect":
            self.effects.on_dead(job, error)

    def _schedules(self, account: str) -> list[Schedule]:
        with self.db.read() as conn:
            row = facts.account_row(conn, account)
        timezone = row.timezone if row else DEFAULT_TIMEZONE
        own = [
            ("reconcile", "*/4 * * * *", "reconcile"),
            ("activities", "1-59/4 * * * *", ACTIVITIES),
            ("directory", "17 * * * *", "directory"),
            ("held", "*/15 * * * *", "recheck_held"),
            ("webhook", "7,37 * * * *", "webhook"),
            # Before the morning's reports, which tell of it.
            ("control", "45 8 * * *", "control"),
            ("answers", "*/20 * * * *", "answers"),
        ]
        reports = [
            Schedule(
                account,
                f"report:{report.name}",
                cron_of(report),
                report.zone or timezone,
                "report",
                {"report": report.report, "name": report.name},
                queue=BACKGROUND,
            )
            for report in self.playbook.reports
        ]
        return reports + [
            Schedule(account, name, cron, timezone, task, dict(ARGS.get(task, {})), queue=BACKGROUND)
            for name, cron, task in own
        ]


def create_app(config: Config | None = None) -> Flask:
    """The web role as a WSGI application, with the store brought up to date. Raises ConfigError."""
    app = App(config or Config.from_env())
    app.prepare()
    return app.web()
