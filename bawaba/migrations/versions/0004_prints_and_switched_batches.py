"""A print may be of one card; a batch may be switched off as a whole"""

import sqlalchemy as sa
from alembic import op

import bawaba.core.database

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("batch", sa.Column("disabled_at", bawaba.core.database.UtcDateTime(timezone=True), nullable=True))
    with op.batch_alter_table("print_run", schema=None) as batch_op:
        batch_op.alter_column("batch_id", existing_type=sa.BigInteger(), nullable=True)
        batch_op.add_column(
            sa.Column("voucher_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.create_foreign_key("print_run_voucher", "voucher", ["voucher_id"], ["id"])
        batch_op.create_index("ix_print_run_voucher_id", ["voucher_id"], unique=False)


def downgrade() -> None:
    op.execute("DELETE FROM print_run WHERE batch_id IS NULL")
    with op.batch_alter_table("print_run", schema=None) as batch_op:
        batch_op.drop_index("ix_print_run_voucher_id")
        batch_op.drop_constraint("print_run_voucher", type_="foreignkey")
        batch_op.drop_column("voucher_id")
        batch_op.alter_column("batch_id", existing_type=sa.BigInteger(), nullable=False)
    op.drop_column("batch", "disabled_at")
