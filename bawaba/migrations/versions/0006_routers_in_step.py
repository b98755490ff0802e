"""Routers in step: when a router was last compared, and sessions that a router began by itself"""

import sqlalchemy as sa
from alembic import op

import bawaba.core.database

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("router", schema=None) as batch_op:
        batch_op.add_column(sa.Column("drift", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("reconcile_at", bawaba.core.database.UtcDateTime(timezone=True), nullable=True))
    with op.batch_alter_table("guest_session", schema=None) as batch_op:
        batch_op.add_column(sa.Column("router_key", sa.String(length=40), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("guest_session", schema=None) as batch_op:
        batch_op.drop_column("router_key")
    with op.batch_alter_table("router", schema=None) as batch_op:
        batch_op.drop_column("reconcile_at")
        batch_op.drop_column("drift")
