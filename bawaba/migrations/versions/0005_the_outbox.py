"""The outbox: a breaker on each router, what it refused, and what is not known of a lost answer"""

import sqlalchemy as sa
from alembic import op

from bawaba.core.database import UtcDateTime

revision = "0005"
down_revision = "0004"

ADDED = {
    "router": "breaker failures breaker_until down_since link_ms",
    "router_grant": "refusals error given_up",
    "router_job": "outcome_unknown given_up_by",
}


def upgrade() -> None:
    with op.batch_alter_table("router") as router:
        router.add_column(sa.Column("breaker", sa.String(10), nullable=False, server_default="closed"))
        router.add_column(sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
        router.add_column(sa.Column("breaker_until", UtcDateTime(timezone=True), nullable=True))
        router.add_column(sa.Column("down_since", UtcDateTime(timezone=True), nullable=True))
        router.add_column(sa.Column("link_ms", sa.Integer(), nullable=True))
    with op.batch_alter_table("router_grant") as grant:
        grant.add_column(sa.Column("refusals", sa.Integer(), nullable=False, server_default="0"))
        grant.add_column(sa.Column("error", sa.String(200), nullable=True))
        grant.add_column(sa.Column("given_up", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("router_job") as job:
        job.add_column(sa.Column("outcome_unknown", sa.Boolean(), nullable=False, server_default=sa.false()))
        job.add_column(sa.Column("given_up_by", sa.String(60), nullable=True))


def downgrade() -> None:
    for table, columns in ADDED.items():
        with op.batch_alter_table(table) as changed:
            for column in columns.split():
                changed.drop_column(column)
