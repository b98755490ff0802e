"""What RADIUS gateways tell of their sessions"""

import sqlalchemy as sa
from alembic import op

import bawaba.core.database

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "radius_session",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("router_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("session_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("acct_session_id", sa.String(length=253), nullable=False),
        sa.Column("names_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("seen_seconds", sa.BigInteger(), nullable=False),
        sa.Column("seen_up", sa.BigInteger(), nullable=False),
        sa.Column("seen_down", sa.BigInteger(), nullable=False),
        sa.Column("started_at", bawaba.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", bawaba.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", bawaba.core.database.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["router_id"], ["router.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["session_id"], ["guest_session.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("router_id", "acct_session_id", "session_id"),
    )
    with op.batch_alter_table("radius_session", schema=None) as batch_op:
        batch_op.create_index("radius_session_guest", ["session_id", "started_at"], unique=False)
        batch_op.create_index(
            "radius_session_live",
            ["router_id", "started_at"],
            unique=False,
            postgresql_where=sa.text("stopped_at IS NULL"),
            sqlite_where=sa.text("stopped_at IS NULL"),
        )


def downgrade() -> None:
    op.drop_table("radius_session")
