"""Which variant of a document or letter a client got."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("variant", sa.String(64), server_default="", nullable=False))
    op.add_column("deliveries", sa.Column("variant", sa.String(64), server_default="", nullable=False))
    op.add_column(
        "deliveries", sa.Column("template_sha256", sa.String(64), server_default="", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("deliveries", "template_sha256")
    op.drop_column("deliveries", "variant")
    op.drop_column("documents", "variant")
