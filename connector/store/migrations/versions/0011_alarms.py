"""Alarms of a week: what lags, whom we asked why, and what came back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", RowId, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_reason", sa.String(length=12), nullable=True),
        sa.Column("snoozed_until", sa.Date(), nullable=True),
        sa.Column("ask_key", sa.String(length=200), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
        sa.UniqueConstraint(
            *("account", "week", "kind", "person", "metric"),
            name=op.f("uq_alarms_account_week_kind_person_metric"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alarms_account_closed_at"), "alarms", ["account", "closed_at"])


def downgrade() -> None:
    op.drop_table("alarms")
