"""Cursors of long readings, what webhooks missed, and which moves are our own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "cursors",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "missed_hooks",
        sa.Column("id", RowId, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("deal_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_missed_hooks")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_missed_hooks_account_day"), "missed_hooks", ["account", "day"])
    op.create_index(op.f("ix_missed_hooks_account_deal_id"), "missed_hooks", ["account", "deal_id"])
    op.add_column(
        "accounts",
        sa.Column("user_id", sa.String(length=64), nullable=False, server_default=sa.text("''")),
    )
    op.add_column("inbox", sa.Column("event_at", sa.DateTime(timezone=True)))
    op.add_column("deals", sa.Column("fingerprint", sa.String(length=16)))
    op.add_column("stage_changes", sa.Column("effect_id", RowId))
