"""Tables of what managers did and were to do: one row a thing, overwritten when the CRM shows it anew."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from connector.store.schema_types import Amount, RowId, UtcDateTime, metadata, numbered

#: What befell a deal besides stage changes: a new owner, another pipeline, deletion, return, merge.
deal_changes = Table(
    "deal_changes",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("event_id", String(80), primary_key=True),
    Column("deal_id", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(12), nullable=False),  # owner | pipeline | deleted | restored | merged
    # Ids of users, of pipelines, of the deal that a merged one went into; None where there is none.
    Column("from_value", String(64)),
    Column("to_value", String(64)),
    Column("changed_by", String(64)),
    Index(None, "account", "deal_id", "at"),
    Index(None, "account", "at"),
)

calls = Table(
    "calls",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("call_id", String(80), primary_key=True),
    Column("deal_id", String(64)),
    Column("manager_id", String(64)),
    Column("at", UtcDateTime, nullable=False),
    Column("direction", String(3), nullable=False),  # in | out
    Column("answered", Boolean, nullable=False),
    Column("duration_s", Integer, nullable=False),
    Column("is_deleted", Boolean, nullable=False, default=False),
    Index(None, "account", "deal_id"),
    Index(None, "account", "at"),
)

meetings = Table(
    "meetings",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("meeting_id", String(80), primary_key=True),
    Column("deal_id", String(64)),
    Column("manager_id", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("planned_at", UtcDateTime),
    Column("held_at", UtcDateTime),
    Column("status", String(12), nullable=False),  # planned | held | cancelled
    Column("is_deleted", Boolean, nullable=False, default=False),
    Index(None, "account", "deal_id"),
    Index(None, "account", "held_at"),
    Index(None, "account", "planned_at"),
)

messages = Table(
    "messages",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("message_id", String(80), primary_key=True),
    Column("deal_id", String(64)),
    Column("manager_id", String(64)),
    Column("at", UtcDateTime, nullable=False),
    Column("direction", String(3), nullable=False),  # in | out
    Column("is_deleted", Boolean, nullable=False, default=False),
    Index(None, "account", "deal_id"),
    Index(None, "account", "at"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("task_id", String(80), primary_key=True),
    Column("deal_id", String(64)),
    Column("manager_id", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("is_deleted", Boolean, nullable=False, default=False),
    Index(None, "account", "deal_id"),
    Index(None, "account", "completed_at"),
    Index(None, "account", "due_at"),
)

#: Invoices of the CRM and ours, each once: one of ours that the CRM also holds has the CRM's id.
invoices = Table(
    "invoices",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("invoice_id", String(80), primary_key=True),
    Column("deal_id", String(64)),
    Column("manager_id", String(64)),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("amount", Amount),
    Column("currency", String(3), nullable=False),
    Column("status", String(12), nullable=False),  # issued | paid | cancelled
    Column("paid_at", UtcDateTime),
    # Our own document of this invoice; None where the CRM alone has it.
    Column("document_id", RowId),
    Column("is_deleted", Boolean, nullable=False, default=False),
    Column("number", String(64), nullable=False, default="", server_default=text("''")),
    Index(None, "account", "deal_id"),
    Index(None, "account", "issued_at"),
    Index(None, "account", "paid_at"),
)

#: Plans of a month as they were set, the newest row of a key is the plan; older ones are its history.
month_plans = Table(
    "month_plans",
    metadata,
    Column("account", String(64), primary_key=True),
    # "" = the part of the department's plan that nobody has been given.
    Column("manager_id", String(64), primary_key=True),
    Column("month", Date, primary_key=True),  # its first day
    Column("metric", String(32), primary_key=True),
    Column("set_at", UtcDateTime, primary_key=True),
    Column("value", Amount),  # None: the plan was taken back
    Column("source", String(12), nullable=False),  # playbook | crm | hand | import
    Index(None, "account", "month"),
)

#: Days that differ from the calendar of the account: holidays, moved working days.
special_days = Table(
    "special_days",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("is_working", Boolean, nullable=False),
)

#: What of a week went wrong, one row a person, number and week; see `planning.control`.
alarms = numbered(
    "alarms",
    Column("id", RowId, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("week", Date, nullable=False),  # its Monday
    Column("kind", String(12), nullable=False),  # behind | no_shows
    Column("person", String(64), nullable=False),  # a user's id, or all
    Column("metric", String(32), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("close_reason", String(12)),  # recovered | week_over
    Column("snoozed_until", Date),
    # The effect whose task asks for the reason, and what came back.
    Column("ask_key", String(200), nullable=False),
    Column("answer", Text),
    Column("answered_at", UtcDateTime),
    UniqueConstraint("account", "week", "kind", "person", "metric"),
    Index(None, "account", "closed_at"),
)
