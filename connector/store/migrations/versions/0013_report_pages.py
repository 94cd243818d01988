"""Reports as files, and the links by which they are read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "report_files",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("report", sa.String(length=120), nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("mime_type", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account", "report", "slot", "name", name=op.f("pk_report_files")),
    )
    op.create_table(
        "report_links",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("report", sa.String(length=120), nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("account", "report", "slot", "serial", name=op.f("pk_report_links")),
        sa.UniqueConstraint("digest", name=op.f("uq_report_links_digest")),
    )


def downgrade() -> None:
    op.drop_table("report_links")
    op.drop_table("report_files")
