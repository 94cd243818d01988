"""Links by which clients open documents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "document_links",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("document_id", RowId, nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("account", "document_id", "serial", name=op.f("pk_document_links")),
        sa.UniqueConstraint("digest", name=op.f("uq_document_links_digest")),
    )


def downgrade() -> None:
    op.drop_table("document_links")
