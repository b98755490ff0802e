"""What people do to a card after it was sold; free trials; and a site's look for its guests"""

import sqlalchemy as sa
from alembic import op

from bawaba.core.database import UtcDateTime

revision = "0013"
down_revision = "0012"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("voucher", sa.Column("extra_seconds", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("voucher", sa.Column("extra_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("voucher", sa.Column("frozen_at", UtcDateTime(timezone=True), nullable=True))
    op.add_column("voucher", sa.Column("moved_to", sa.BigInteger(), nullable=True))
    op.add_column("voucher", sa.Column("is_free", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("plan", sa.Column("is_trial", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("site", sa.Column("colour", sa.String(7), nullable=False, server_default=""))
    op.add_column("site", sa.Column("terms", sa.String(2000), nullable=False, server_default=""))
    op.add_column("site", sa.Column("trial_minutes", sa.Integer(), nullable=True))
    op.add_column("site", sa.Column("trial_rate_kbps", sa.Integer(), nullable=True))
    op.create_table(
        "site_logo",
        sa.Column("site_id", Id, nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("site_id"),
    )
    op.create_table(
        "trial",
        sa.Column("id", Id, nullable=False),
        sa.Column("site_id", Id, nullable=False),
        sa.Column("device", sa.String(45), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("voucher_id", Id, nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"]),
        sa.ForeignKeyConstraint(["voucher_id"], ["voucher.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("site_id", "device", "day"),
    )


def downgrade() -> None:
    op.drop_table("trial")
    op.drop_table("site_logo")
    for table, columns in {
        "site": ("colour", "terms", "trial_minutes", "trial_rate_kbps"),
        "plan": ("is_trial",),
        "voucher": ("extra_seconds", "extra_bytes", "frozen_at", "moved_to", "is_free"),
    }.items():
        with op.batch_alter_table(table) as batch_op:
            for column in columns:
                batch_op.drop_column(column)
