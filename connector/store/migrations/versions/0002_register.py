"""The register of documents: versions, void ones, every number that was given, and the kits behind them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("documents", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
        batch.add_column(sa.Column("replaces_id", RowId, nullable=True))
        batch.add_column(sa.Column("void_reason", sa.Text(), nullable=True))
        batch.add_column(sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("kit_sha256", sa.String(length=64), server_default="", nullable=False))
        batch.add_column(sa.Column("engine", sa.String(length=64), server_default="", nullable=False))
        batch.drop_constraint("uq_documents_account_series_year_ordinal", type_="unique")
        batch.create_unique_constraint(
            "uq_documents_account_series_year_ordinal_version",
            ["account", "series", "year", "ordinal", "version"],
        )
    op.create_index(op.f("ix_documents_account_issued_on"), "documents", ["account", "issued_on"])
    op.create_table(
        "numbers",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("series", sa.String(length=64), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("outbox_key", sa.String(length=200), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "series", "year", "ordinal", name=op.f("pk_numbers")),
    )
    op.create_index(op.f("ix_numbers_account_given_at"), "numbers", ["account", "given_at"])
    op.create_table(
        "kit_files",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account", "sha256", name=op.f("pk_kit_files")),
    )
    op.create_table(
        "kit_versions",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account", "sha256", name=op.f("pk_kit_versions")),
    )
    # Numbers that were given before: each document bears one.
    op.execute(
        "INSERT INTO numbers (account, series, year, ordinal, outbox_key, given_at) "
        "SELECT account, series, year, ordinal, outbox_key, created_at FROM documents"
    )


def downgrade() -> None:
    raise RuntimeError("void documents and given numbers would be lost")
