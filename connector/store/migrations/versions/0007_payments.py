"""Payments of invoices and what their providers tell of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "payments",
        sa.Column("id", RowId, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("document_id", RowId, nullable=False),
        sa.Column("deal_id", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("provider_id", sa.String(length=64), nullable=True),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ask_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("account", "key", name=op.f("uq_payments_account_key")),
        sa.UniqueConstraint(
            "account", "provider", "provider_id", name=op.f("uq_payments_account_provider_provider_id")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_payments_account_document_id"), "payments", ["account", "document_id"])
    op.create_index(op.f("ix_payments_ask_at"), "payments", ["ask_at"])
    op.create_table(
        "payment_notices",
        sa.Column("id", RowId, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("payment_id", sa.String(length=64), nullable=False),
        sa.Column("deliveries", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_notices")),
        sa.UniqueConstraint(
            *("account", "provider", "event", "object_id"),
            name=op.f("uq_payment_notices_account_provider_event_object_id"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_payment_notices_account_received_at"), "payment_notices", ["account", "received_at"]
    )


def downgrade() -> None:
    op.drop_table("payment_notices")
    op.drop_table("payments")
