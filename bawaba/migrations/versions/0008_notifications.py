"""Notifications: what happened, who has read it, the ways outward and what goes over them"""

import sqlalchemy as sa
from alembic import op

from bawaba.core.database import UtcDateTime

revision = "0008"
down_revision = "0007"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _time(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "notification",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.String(80), nullable=False),
        sa.Column("path", sa.String(120), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("closing", sa.JSON(), nullable=False),
        _time("opened_at", nullable=False),
        _time("better_at"),
        _time("closed_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "notification_open",
        "notification",
        ["key"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("notification_key", "notification", ["key", "id"])
    op.create_index("notification_site", "notification", ["site_id", "id"])
    op.create_table(
        "notification_read",
        sa.Column("notification_id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        _time("read_at", nullable=False),
        sa.ForeignKeyConstraint(["notification_id"], ["notification.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("notification_id", "user_id"),
    )
    op.create_table(
        "notification_channel",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("url_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("least", sa.String(8), nullable=False),
        sa.Column("site_id", Id, nullable=True),
        sa.Column("allow_private", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("last_error", sa.String(24), nullable=True),
        _time("last_sent_at"),
        _time("created_at", nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "notification_delivery",
        sa.Column("id", Id, nullable=False),
        sa.Column("notification_id", Id, nullable=False),
        sa.Column("channel_id", Id, nullable=False),
        sa.Column("phase", sa.String(8), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(24), nullable=True),
        _time("next_try_at", nullable=False),
        _time("done_at"),
        sa.ForeignKeyConstraint(["notification_id"], ["notification.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["channel_id"], ["notification_channel.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("notification_id", "channel_id", "phase"),
    )
    op.create_index(
        "notification_delivery_open",
        "notification_delivery",
        ["next_try_at"],
        postgresql_where=sa.text("state = 'open'"),
        sqlite_where=sa.text("state = 'open'"),
    )


def downgrade() -> None:
    for table in ("notification_delivery", "notification_channel", "notification_read", "notification"):
        op.drop_table(table)
