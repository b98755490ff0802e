"""Backups: one row a run"""

import sqlalchemy as sa
from alembic import op

from bawaba.core.database import UtcDateTime

revision = "0012"
down_revision = "0011"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "backup_run",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("step", sa.String(12), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("wants_drill", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("file", sa.String(120), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("stored", sa.JSON(), nullable=False),
        sa.Column("shape", sa.String(32), nullable=True),
        sa.Column("key_fingerprint", sa.String(16), nullable=True),
        sa.Column("recipient", sa.String(100), nullable=True),
        sa.Column("row_count", sa.BigInteger(), nullable=True),
        sa.Column("drill", sa.JSON(), nullable=True),
        sa.Column("last_check", sa.JSON(), nullable=True),
        sa.Column("error", sa.String(32), nullable=True),
        sa.Column("error_text", sa.String(500), nullable=True),
        sa.Column("started_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.String(80), nullable=True),
        sa.Column("lease_until", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "backup_run_one",
        "backup_run",
        ["state"],
        unique=True,
        postgresql_where=sa.text("state = 'running'"),
        sqlite_where=sa.text("state = 'running'"),
    )
    op.create_index("backup_run_started", "backup_run", ["started_at"])


def downgrade() -> None:
    op.drop_table("backup_run")
