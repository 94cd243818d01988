"""What we learn of deals by ourselves: documents opened, invoices paid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "happenings",
        sa.Column("id", RowId, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("deal_id", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("document_id", RowId, nullable=True),
        sa.Column("document", sa.String(length=32), server_default="", nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_happenings")),
        sa.UniqueConstraint("account", "key", name=op.f("uq_happenings_account_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_happenings_account_deal_id"), "happenings", ["account", "deal_id"])
    op.create_index(op.f("ix_happenings_account_what_at"), "happenings", ["account", "what", "at"])


def downgrade() -> None:
    op.drop_table("happenings")
