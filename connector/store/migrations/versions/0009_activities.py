"""What managers did, plans, special days, and what befell deals besides stage changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("call_id", sa.String(length=80), nullable=False),
        sa.Column("deal_id", sa.String(length=64), nullable=True),
        sa.Column("manager_id", sa.String(length=64), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("duration_s", sa.Integer(), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "call_id", name=op.f("pk_calls")),
    )
    op.create_index(op.f("ix_calls_account_at"), "calls", ["account", "at"], unique=False)
    op.create_index(op.f("ix_calls_account_deal_id"), "calls", ["account", "deal_id"], unique=False)
    op.create_table(
        "channels",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("channel_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("account", "channel_id", name=op.f("pk_channels")),
    )
    op.create_table(
        "deal_changes",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("event_id", sa.String(length=80), nullable=False),
        sa.Column("deal_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("from_value", sa.String(length=64), nullable=True),
        sa.Column("to_value", sa.String(length=64), nullable=True),
        sa.Column("changed_by", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("account", "event_id", name=op.f("pk_deal_changes")),
    )
    op.create_index(op.f("ix_deal_changes_account_at"), "deal_changes", ["account", "at"], unique=False)
    op.create_index(
        op.f("ix_deal_changes_account_deal_id_at"), "deal_changes", ["account", "deal_id", "at"], unique=False
    )
    op.create_table(
        "invoices",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("invoice_id", sa.String(length=80), nullable=False),
        sa.Column("deal_id", sa.String(length=64), nullable=True),
        sa.Column("manager_id", sa.String(length=64), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("document_id", RowId, nullable=True),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "invoice_id", name=op.f("pk_invoices")),
    )
    op.create_index(op.f("ix_invoices_account_deal_id"), "invoices", ["account", "deal_id"], unique=False)
    op.create_index(op.f("ix_invoices_account_issued_at"), "invoices", ["account", "issued_at"], unique=False)
    op.create_index(op.f("ix_invoices_account_paid_at"), "invoices", ["account", "paid_at"], unique=False)
    op.create_table(
        "meetings",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("meeting_id", sa.String(length=80), nullable=False),
        sa.Column("deal_id", sa.String(length=64), nullable=True),
        sa.Column("manager_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "meeting_id", name=op.f("pk_meetings")),
    )
    op.create_index(op.f("ix_meetings_account_deal_id"), "meetings", ["account", "deal_id"], unique=False)
    op.create_index(op.f("ix_meetings_account_held_at"), "meetings", ["account", "held_at"], unique=False)
    op.create_index(
        op.f("ix_meetings_account_planned_at"), "meetings", ["account", "planned_at"], unique=False
    )
    op.create_table(
        "messages",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("message_id", sa.String(length=80), nullable=False),
        sa.Column("deal_id", sa.String(length=64), nullable=True),
        sa.Column("manager_id", sa.String(length=64), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "message_id", name=op.f("pk_messages")),
    )
    op.create_index(op.f("ix_messages_account_at"), "messages", ["account", "at"], unique=False)
    op.create_index(op.f("ix_messages_account_deal_id"), "messages", ["account", "deal_id"], unique=False)
    op.create_table(
        "month_plans",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("manager_id", sa.String(length=64), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "manager_id", "month", "metric", "set_at", name=op.f("pk_month_plans")
        ),
    )
    op.create_index(op.f("ix_month_plans_account_month"), "month_plans", ["account", "month"], unique=False)
    op.create_table(
        "special_days",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("is_working", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "day", name=op.f("pk_special_days")),
    )
    op.create_table(
        "tasks",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=80), nullable=False),
        sa.Column("deal_id", sa.String(length=64), nullable=True),
        sa.Column("manager_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "task_id", name=op.f("pk_tasks")),
    )
    op.create_index(op.f("ix_tasks_account_completed_at"), "tasks", ["account", "completed_at"], unique=False)
    op.create_index(op.f("ix_tasks_account_deal_id"), "tasks", ["account", "deal_id"], unique=False)
    op.create_index(op.f("ix_tasks_account_due_at"), "tasks", ["account", "due_at"], unique=False)
    op.add_column(
        "users", sa.Column("team", sa.String(length=255), server_default=sa.text("''"), nullable=False)
    )
    op.add_column(
        "users", sa.Column("timezone", sa.String(length=64), server_default=sa.text("''"), nullable=False)
    )
    op.add_column("users", sa.Column("hired_on", sa.Date(), nullable=True))
    op.add_column("users", sa.Column("fired_on", sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "fired_on")
    op.drop_column("users", "hired_on")
    op.drop_column("users", "timezone")
    op.drop_column("users", "team")
    op.drop_table("tasks")
    op.drop_table("special_days")
    op.drop_table("month_plans")
    op.drop_table("messages")
    op.drop_table("meetings")
    op.drop_table("invoices")
    op.drop_table("deal_changes")
    op.drop_table("channels")
    op.drop_table("calls")
