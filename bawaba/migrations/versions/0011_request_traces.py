"""What requests did and how long it took; and which request a router's work follows from"""

import sqlalchemy as sa
from alembic import op

from bawaba.core.database import UtcDateTime

revision = "0011"
down_revision = "0010"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "request_trace",
        sa.Column("id", Id, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("process", sa.String(48), nullable=False),
        sa.Column("method", sa.String(8), nullable=False),
        sa.Column("route", sa.String(160), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(60), nullable=False),
        sa.Column("started_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("took_us", sa.BigInteger(), nullable=False),
        sa.Column("database_us", sa.BigInteger(), nullable=False),
        sa.Column("router_us", sa.BigInteger(), nullable=False),
        sa.Column("statements", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("request_trace_request", "request_trace", ["request_id"])
    op.create_index("request_trace_took", "request_trace", ["took_us"])
    op.add_column("router_job", sa.Column("request_id", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("router_job", "request_id")
    op.drop_table("request_trace")
