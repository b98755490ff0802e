"""Removed routers: hidden from that moment on, and kept for the sessions that went through them"""

import sqlalchemy as sa
from alembic import op

from bawaba.core.database import UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("router", sa.Column("removed_at", UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("router") as batch_op:
        batch_op.drop_column("removed_at")
