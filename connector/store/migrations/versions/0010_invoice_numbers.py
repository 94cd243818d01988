"""The number of an invoice, by which one of the CRM and one of ours are known to be the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("invoices", sa.Column("number", sa.String(length=64), nullable=False, server_default=""))
