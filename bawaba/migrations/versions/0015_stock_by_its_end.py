"""Stock by its end: the index that unused cards are counted by knows when each is over"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    _make_again(["plan_version_id", "over_at"], sa.text("status = 'unused' AND disabled_at IS NULL"))


def downgrade() -> None:
    _make_again(["plan_version_id"], sa.text("status = 'unused'"))


def _make_again(columns: list[str], where: sa.TextClause) -> None:
    op.drop_index("voucher_stock", table_name="voucher")
    op.create_index("voucher_stock", "voucher", columns, postgresql_where=where, sqlite_where=where)
