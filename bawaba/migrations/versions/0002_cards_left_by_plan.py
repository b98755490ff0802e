"""Cards left by plan: an index for the dashboard's figure"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
UNUSED = sa.text("status = 'unused'")


def upgrade() -> None:
    op.create_index("voucher_stock", "voucher", ["plan_version_id"], postgresql_where=UNUSED, sqlite_where=UNUSED)


def downgrade() -> None:
    op.drop_index("voucher_stock", "voucher")
