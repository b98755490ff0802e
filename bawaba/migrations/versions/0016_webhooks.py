"""Webhooks: who is told of what, and each message on its way"""

import sqlalchemy as sa
from alembic import op

from bawaba.core.database import UtcDateTime

revision = "0016"
down_revision = "0015"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _time(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("url", sa.String(1000), nullable=False),
        sa.Column("events", sa.String(200), nullable=False),
        sa.Column("site_id", Id, nullable=True),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("allow_private", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        _time("failing_since"),
        _time("rest_until"),
        _time("taken_at"),
        _time("gave_up_at"),
        _time("created_at", nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("id", Id, nullable=False),
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(24), nullable=True),
        sa.Column("took_ms", sa.Integer(), nullable=True),
        _time("created_at", nullable=False),
        _time("next_try_at", nullable=False),
        _time("give_up_at", nullable=False),
        _time("tried_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    is_open = sa.text("state = 'open'")
    op.create_index(
        "webhook_delivery_open", "webhook_delivery", ["next_try_at"], postgresql_where=is_open, sqlite_where=is_open
    )
    op.create_index("webhook_delivery_log", "webhook_delivery", ["webhook_id", "id"])
    op.create_index("webhook_delivery_age", "webhook_delivery", ["created_at"])


def downgrade() -> None:
    for table in ("webhook_delivery", "webhook"):
        op.drop_table(table)
