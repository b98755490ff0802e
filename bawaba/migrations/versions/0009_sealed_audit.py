"""The audit log is a chain of seals. What was written before stays unsealed."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("audit_entry", sa.Column("previous", sa.LargeBinary(), nullable=True))
    op.add_column("audit_entry", sa.Column("chain", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("audit_entry") as table:
        table.drop_column("chain")
        table.drop_column("previous")
