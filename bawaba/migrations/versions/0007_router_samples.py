"""Router samples: what was seen of each router, by the minute, the hour and the day"""

import sqlalchemy as sa
from alembic import op

import bawaba.core.database

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "router_sample",
        sa.Column("router_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("width_s", sa.Integer(), nullable=False),
        sa.Column("start", bawaba.core.database.UtcDateTime(timezone=True), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("sessions", sa.BigInteger(), nullable=False),
        sa.Column("sessions_most", sa.Integer(), nullable=False),
        sa.Column("up", sa.BigInteger(), nullable=False),
        sa.Column("down", sa.BigInteger(), nullable=False),
        sa.Column("cpu", sa.Double(), nullable=False),
        sa.Column("memory", sa.Double(), nullable=False),
        sa.Column("cpu_looks", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["router_id"], ["router.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("router_id", "width_s", "start"),
    )
    op.create_index("router_sample_age", "router_sample", ["width_s", "start"], unique=False)


def downgrade() -> None:
    op.drop_index("router_sample_age", table_name="router_sample")
    op.drop_table("router_sample")
