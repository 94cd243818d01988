"""The list of changed facts, and the triggers that write it."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

RowId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Tables of facts and the column by which a change of theirs is told.
KEYS = {
    "deals": "deal_id",
    "stage_changes": "deal_id",
    "calls": "call_id",
    "meetings": "meeting_id",
    "messages": "message_id",
    "tasks": "task_id",
    "invoices": "invoice_id",
}


def upgrade() -> None:
    op.create_table(
        "fact_log",
        sa.Column("id", RowId, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fact_log")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_fact_log_account_mark"), "fact_log", ["account", "mark"], unique=False)
    op.create_index(op.f("ix_fact_log_noted_at"), "fact_log", ["noted_at"], unique=False)
    op.create_table(
        "store_identity",
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("value", name=op.f("pk_store_identity")),
    )
    op.bulk_insert(
        sa.table("store_identity", sa.column("value", sa.String)), [{"value": secrets.token_hex(16)}]
    )
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    if on_postgresql:
        op.execute(POSTGRESQL_FUNCTION)
    for table, key in KEYS.items():
        for event, rows in (("insert", "NEW"), ("update", "NEW"), ("delete", "OLD")):
            name = f"note_{table}_{event}"
            template = POSTGRESQL_TRIGGER if on_postgresql else SQLITE_TRIGGER
            op.execute(
                template.format(name=name, event=event.upper(), table=table, key=key, rows=rows),
            )


#: A bulk load that says itself what it changed sets connector.bulk for its transaction.
POSTGRESQL_FUNCTION = """
CREATE FUNCTION note_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('connector.bulk', true) = 'on' THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'INSERT INTO fact_log (account, kind, key, mark, noted_at)'
        ' SELECT DISTINCT account, %L, %I, pg_current_xact_id()::text::bigint, now() FROM changed',
        TG_ARGV[0], TG_ARGV[1]
    );
    RETURN NULL;
END $$
"""

POSTGRESQL_TRIGGER = """
CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION note_facts('{table}', '{key}')
"""

SQLITE_TRIGGER = """
CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN
    INSERT INTO fact_log (account, kind, key, mark, noted_at)
    VALUES ({rows}.account, '{table}', {rows}.{key}, 0, strftime('%Y-%m-%d %H:%M:%f000', 'now'));
END
"""
