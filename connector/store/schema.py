"""All tables. The account is the first column of every key, and nothing joins across accounts."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from connector.store.schema_activities import alarms as alarms
from connector.store.schema_activities import calls as calls
from connector.store.schema_activities import deal_changes as deal_changes
from connector.store.schema_activities import invoices as invoices
from connector.store.schema_activities import meetings as meetings
from connector.store.schema_activities import messages as messages
from connector.store.schema_activities import month_plans as month_plans
from connector.store.schema_activities import special_days as special_days
from connector.store.schema_activities import tasks as tasks
from connector.store.schema_figures import fact_log as fact_log
from connector.store.schema_figures import store_identity as store_identity
from connector.store.schema_types import Amount as Amount
from connector.store.schema_types import RowId as RowId
from connector.store.schema_types import UtcDateTime as UtcDateTime
from connector.store.schema_types import metadata as metadata
from connector.store.schema_types import numbered

# What came in -----------------------------------------------------------------------------------------------

accounts = Table(
    "accounts",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("crm", String(16), nullable=False),
    Column("crm_account_id", String(64), nullable=False, default=""),
    Column("timezone", String(64), nullable=False, default="Europe/Moscow"),
    Column("currency", String(3), nullable=False, default="RUB"),
    # Moves before this moment are history: they are facts and start nothing.
    Column("live_since", UtcDateTime, nullable=False),
    # Deals changed before this moment have been compared with the CRM.
    Column("reconciled_until", UtcDateTime),
    Column("directory_read_at", UtcDateTime),
    # Whose key we have: what this user changed may have been changed by us.
    Column("user_id", String(64), nullable=False, default="", server_default=text("''")),
)

inbox = numbered(
    "inbox",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("dedup", String(80), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("entity_id", String(64), nullable=False),
    Column("source", String(16), nullable=False),  # webhook | reconcile | queue | backfill | hand
    Column("status", String(16), nullable=False),  # new | done | ignored
    Column("note", Text, nullable=False, default=""),
    Column("payload", JSON, nullable=False),
    Column("deliveries", Integer, nullable=False, default=1),
    Column("received_at", UtcDateTime, nullable=False),
    Column("processed_at", UtcDateTime),
    # When it happened, or was sent, by the CRM's own clock.
    Column("event_at", UtcDateTime),
    UniqueConstraint("account", "dedup"),
    Index(None, "account", "received_at"),
)

#: What the receiver refused, counted a day: hooks are answered 400 or 403 and leave nothing else.
refused_hooks = Table(
    "refused_hooks",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("reason", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
)

# The work engine --------------------------------------------------------------------------------------------

jobs = numbered(
    "jobs",
    Column("id", RowId, primary_key=True),
    Column("queue", String(16), nullable=False),
    Column("task", String(48), nullable=False),
    Column("args", JSON, nullable=False),
    Column("account", String(64), nullable=False),
    Column("order_key", String(160)),
    Column("state", String(12), nullable=False),  # ready | run | done | dead | cancelled
    Column("run_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("max_attempts", Integer, nullable=False),
    Column("owner", String(64)),
    Column("lease_until", UtcDateTime),
    Column("dedup", String(200)),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    UniqueConstraint("dedup"),
)
Index(
    "ix_jobs_ready",
    jobs.c.queue,
    jobs.c.run_at,
    jobs.c.id,
    postgresql_where=jobs.c.state == "ready",
    sqlite_where=jobs.c.state == "ready",
)
Index(
    "ix_jobs_lease",
    jobs.c.lease_until,
    postgresql_where=jobs.c.state == "run",
    sqlite_where=jobs.c.state == "run",
)
Index(
    "ix_jobs_order",
    jobs.c.order_key,
    jobs.c.id,
    postgresql_where=jobs.c.state.in_(("ready", "run")),
    sqlite_where=jobs.c.state.in_(("ready", "run")),
)
Index(
    "ix_jobs_running",
    jobs.c.account,
    postgresql_where=jobs.c.state == "run",
    sqlite_where=jobs.c.state == "run",
)
Index(
    "ix_jobs_finished",
    jobs.c.finished_at,
    postgresql_where=jobs.c.state.in_(("done", "cancelled")),
    sqlite_where=jobs.c.state.in_(("done", "cancelled")),
)

timers = numbered(
    "timers",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("deal_id", String(64)),
    Column("due", UtcDateTime, nullable=False, index=True),
    Column("queue", String(16), nullable=False),
    Column("task", String(48), nullable=False),
    Column("args", JSON, nullable=False),
    Column("order_key", String(160)),
    Column("dedup", String(200)),
    UniqueConstraint("dedup"),
    Index(None, "account", "deal_id"),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", String(160), primary_key=True),
    # Theoretical arrival time of the next request, microseconds since the epoch.
    Column("tat_us", BigInteger, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("name", String(120), primary_key=True),
    Column("cron", String(120), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("queue", String(16), nullable=False),
    Column("task", String(48), nullable=False),
    Column("args", JSON, nullable=False),
    # A slot older than this is recorded as skipped instead of run late.
    Column("late_limit_s", Integer, nullable=False),
    Column("next_run_at", UtcDateTime, nullable=False),
)

#: Who is alive: a worker writes its row with every extension of its leases. Nothing is decided by it.
workers = Table(
    "workers",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queues", String(255), nullable=False),
    Column("threads", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

# Facts ------------------------------------------------------------------------------------------------------

stages = Table(
    "stages",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("pipeline_id", String(64), primary_key=True),
    Column("stage_id", String(64), primary_key=True),
    Column("pipeline_name", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("sort", Integer, nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("is_qualified", Boolean, nullable=False, default=False),
    Column("is_key", Boolean, nullable=False, default=False),
)

users = Table(
    "users",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("user_id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("email", String(255), nullable=False, default=""),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("is_admin", Boolean, nullable=False, default=False),
    # The department or group; "" where the CRM has none.
    Column("team", String(255), nullable=False, default="", server_default=text("''")),
    Column("timezone", String(64), nullable=False, default="", server_default=text("''")),
    Column("hired_on", Date),
    Column("fired_on", Date),
)

#: Names of channels whose deals carry an id; where deals carry the name itself there is no row.
channels = Table(
    "channels",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("channel_id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
)

loss_reasons = Table(
    "loss_reasons",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("loss_reason_id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
)

deals = Table(
    "deals",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("deal_id", String(64), primary_key=True),
    Column("name", String(512), nullable=False, default=""),
    Column("pipeline_id", String(64), nullable=False),
    Column("stage_id", String(64), nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("amount", Amount),
    Column("currency", String(3), nullable=False),
    Column("responsible_id", String(64)),
    Column("channel", String(255)),
    Column("utm_source", String(255), nullable=False, default=""),
    Column("utm_medium", String(255), nullable=False, default=""),
    Column("utm_campaign", String(255), nullable=False, default=""),
    Column("loss_reason_id", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("is_deleted", Boolean, nullable=False, default=False),
    # The connector's own deal that carries its reports; left out of every figure.
    Column("is_service", Boolean, nullable=False, default=False),
    Column("read_at", UtcDateTime, nullable=False),
    # Digest of what is compared with the CRM; None for rows older than the column.
    Column("fingerprint", String(16)),
    Index(None, "account", "closed_at"),
    Index(None, "account", "created_at"),
)

deal_links = Table(
    "deal_links",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("entity", String(8), primary_key=True),  # contact | company
    Column("entity_id", String(64), primary_key=True),
    Column("deal_id", String(64), primary_key=True),
)

stage_changes = Table(
    "stage_changes",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("event_id", String(80), primary_key=True),
    Column("deal_id", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("from_pipeline_id", String(64)),
    Column("from_stage_id", String(64)),
    Column("to_pipeline_id", String(64), nullable=False),
    Column("to_stage_id", String(64), nullable=False),
    Column("changed_by", String(64)),
    # The effect of ours that made this move; None where a person or a robot of the CRM did.
    Column("effect_id", RowId),
    Index(None, "account", "deal_id", "at"),
    Index(None, "account", "at"),
)

# Reading the past and comparing -----------------------------------------------------------------------------

#: Where long readings go on: `value` is the reader's own.
cursors = Table(
    "cursors",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

#: Changes that no webhook told of in time: one row each, found by comparing with the CRM.
missed_hooks = numbered(
    "missed_hooks",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("deal_id", String(64), nullable=False),
    Column("kind", String(12), nullable=False),  # new | moved | changed | deleted | restored
    Column("day", Date, nullable=False),  # of the find, in the account's zone
    Column("changed_at", UtcDateTime, nullable=False),  # by the CRM's clock
    Column("found_at", UtcDateTime, nullable=False),
    Index(None, "account", "day"),
    Index(None, "account", "deal_id"),
)

# Consent ----------------------------------------------------------------------------------------------------

#: One row an account that is connected by consent. Tokens are in `sealed` only, encrypted; while a process
#: renews the pair, `busy_until` keeps the others from it.
oauth_grants = Table(
    "oauth_grants",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("sealed_application_token", Text),
    Column("busy_by", String(64)),
    Column("busy_until", UtcDateTime),
    Column("renewal_began_at", UtcDateTime),
    Column("problem", String(16)),
    Column("problem_text", Text),
    Column("problem_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
)

#: What must come back from the CRM's consent page; only a digest is kept.
oauth_states = Table(
    "oauth_states",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

# Decisions and effects --------------------------------------------------------------------------------------

rule_runs = numbered(
    "rule_runs",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("deal_id", String(64), nullable=False),
    Column("rule", String(200), nullable=False),
    Column("trigger", String(64), nullable=False),
    Column("event_id", String(80), nullable=False),
    Column("result", String(12), nullable=False),  # match | no_match | error | repeated | own | stopped
    Column("trace", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("account", "deal_id", "rule", "event_id"),
    Index(None, "account", "deal_id"),
)

outbox = numbered(
    "outbox",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("key", String(200), nullable=False),
    Column("run_id", RowId),
    Column("deal_id", String(64)),
    Column("rule", String(200), nullable=False),
    Column("position", Integer, nullable=False),
    Column("action", String(32), nullable=False),
    Column("params", JSON, nullable=False),
    Column("status", String(12), nullable=False),  # ready | sending | done | held | dead | cancelled
    Column("held_reason", Text),
    Column("missing", JSON),
    Column("result", JSON),
    Column("error", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("done_at", UtcDateTime),
    UniqueConstraint("account", "key"),
    Index(None, "account", "deal_id"),
    Index(None, "account", "status"),
)

documents = numbered(
    "documents",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("outbox_key", String(200), nullable=False),
    Column("deal_id", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("title", String(120), nullable=False),
    Column("series", String(64), nullable=False),
    Column("year", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("number", String(64), nullable=False),
    Column("issued_on", Date, nullable=False),
    Column("total", Amount),
    Column("currency", String(3), nullable=False),
    Column("template_sha256", String(64), nullable=False),
    Column("context", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # A corrected document keeps its number and gets the next version; the one before is void.
    Column("version", Integer, nullable=False, server_default="1"),
    Column("replaces_id", RowId),
    Column("void_reason", Text),
    Column("voided_at", UtcDateTime),
    # With what it was made: files of the kit (see `kit_versions`) and the typesetter.
    Column("kit_sha256", String(64), nullable=False, server_default=""),
    Column("engine", String(64), nullable=False, server_default=""),
    # Of several looks of its kind; "" where there is one.
    Column("variant", String(64), nullable=False, server_default=""),
    UniqueConstraint("account", "outbox_key"),
    UniqueConstraint("account", "series", "year", "ordinal", "version"),
    Index(None, "account", "deal_id"),
    Index(None, "account", "issued_on"),
)

document_files = Table(
    "document_files",
    metadata,
    Column("document_id", RowId, primary_key=True),
    Column("format", String(8), primary_key=True),  # pdf | docx
    Column("name", String(255), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

#: What clients open documents by. Only a digest of a link's secret word is kept.
document_links = Table(
    "document_links",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("document_id", RowId, primary_key=True),
    # A document has one link at a time; each new one counts on.
    Column("serial", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("withdrawn_at", UtcDateTime),
    UniqueConstraint("digest"),
)

#: What we learnt of a deal by ourselves: a document opened, an invoice paid. Each fact once, by its key.
happenings = numbered(
    "happenings",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("key", String(200), nullable=False),
    Column("deal_id", String(64), nullable=False),
    Column("what", String(32), nullable=False),
    Column("document_id", RowId),
    # The kind of the document, "" for none.
    Column("document", String(32), nullable=False, server_default=""),
    Column("data", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("account", "key"),
    Index(None, "account", "deal_id"),
    Index(None, "account", "what", "at"),
)

#: Attempts to pay an invoice: one row each, written before its provider is asked, so that none is lost.
payments = numbered(
    "payments",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("document_id", RowId, nullable=False),
    Column("deal_id", String(64), nullable=False),
    Column("provider", String(16), nullable=False),  # of config.PAYMENT_PROVIDERS | manual
    # The provider's id; None while it has not answered, and where payments have none.
    Column("provider_id", String(64)),
    # The same key asks the provider for the same payment.
    Column("key", String(64), nullable=False),
    Column("status", String(12), nullable=False),  # new | pending | succeeded | canceled
    # What was asked for, and once it came what came, by the provider's word.
    Column("amount", Amount, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("refunded", Amount, nullable=False),
    Column("link", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("paid_at", UtcDateTime),
    # When to ask next although no notice came; None = never again.
    Column("ask_at", UtcDateTime),
    Column("asked", Integer, nullable=False),
    UniqueConstraint("account", "key"),
    UniqueConstraint("account", "provider", "provider_id"),
    Index(None, "account", "document_id"),
    Index(None, "ask_at"),
)

#: Notices of payment providers, as told: nothing is believed before the provider was asked back.
payment_notices = numbered(
    "payment_notices",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("provider", String(16), nullable=False),
    Column("event", String(64), nullable=False),
    Column("object_id", String(64), nullable=False),
    Column("payment_id", String(64), nullable=False),
    Column("deliveries", Integer, nullable=False),
    # What became of it, Russian; "" while it was not looked at.
    Column("note", Text, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    UniqueConstraint("account", "provider", "event", "object_id"),
    Index(None, "account", "received_at"),
)

#: Every number that was given, with the effect that it was given to: where a gap has its reason.
numbers = Table(
    "numbers",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("series", String(64), primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("outbox_key", String(200), nullable=False),
    Column("given_at", UtcDateTime, nullable=False),
    Index(None, "account", "given_at"),
)

#: What documents were made with: each file once, however many versions of the kit have it.
kit_files = Table(
    "kit_files",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

kit_versions = Table(
    "kit_versions",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    # Name of a file in the kit -> its SHA-256.
    Column("files", JSON, nullable=False),
    Column("saved_at", UtcDateTime, nullable=False),
)

number_series = Table(
    "number_series",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("series", String(64), primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("last", Integer, nullable=False),
)

deliveries = numbered(
    "deliveries",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("outbox_key", String(200), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("message_id", String(255), nullable=False),
    Column("subject", Text, nullable=False, default=""),
    Column("status", String(12), nullable=False),  # sending | accepted | failed
    Column("detail", Text, nullable=False, default=""),
    Column("at", UtcDateTime, nullable=False),
    # Which of several letters, "" where there is one, and the version of its template.
    Column("variant", String(64), nullable=False, server_default=""),
    Column("template_sha256", String(64), nullable=False, server_default=""),
    UniqueConstraint("account", "outbox_key", "channel", "recipient"),
)

report_runs = Table(
    "report_runs",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("report", String(120), primary_key=True),
    Column("slot", UtcDateTime, primary_key=True),
    Column("status", String(12), nullable=False),  # running | sent | skipped | failed
    Column("text", Text, nullable=False, default=""),
    Column("detail", JSON, nullable=False, default=dict, server_default=text("'{}'")),
    Column("updated_at", UtcDateTime, nullable=False),
)

#: What a report looks like as files: its charts and its PDF, made once with its text.
report_files = Table(
    "report_files",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("report", String(120), primary_key=True),
    Column("slot", UtcDateTime, primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("mime_type", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

report_links = Table(
    "report_links",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("report", String(120), primary_key=True),
    Column("slot", UtcDateTime, primary_key=True),
    # A report has one link at a time; each new one counts on.
    Column("serial", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("withdrawn_at", UtcDateTime),
    UniqueConstraint("digest"),
)
