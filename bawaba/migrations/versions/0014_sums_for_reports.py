"""Sums for reports: sales and sessions by the day, and which of them are in the sums"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sale_sum",
        sa.Column("site_id", BIG_ID, nullable=False),
        sa.Column("facet", sa.String(8), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("ref", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("cards", sa.BigInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"]),
        sa.PrimaryKeyConstraint("site_id", "facet", "day", "ref", "currency"),
    )
    op.create_table(
        "use_sum",
        sa.Column("site_id", BIG_ID, nullable=False),
        sa.Column("facet", sa.String(8), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("ref", sa.BigInteger(), nullable=False),
        sa.Column("sessions", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("up", sa.BigInteger(), nullable=False),
        sa.Column("down", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"]),
        sa.PrimaryKeyConstraint("site_id", "facet", "day", "ref"),
    )
    op.add_column("sale", sa.Column("router_id", sa.BigInteger(), nullable=True))
    op.add_column("sale", sa.Column("told", sa.SmallInteger(), nullable=False, server_default="0"))
    op.add_column("guest_session", sa.Column("told", sa.SmallInteger(), nullable=False, server_default="0"))
    for name in ("told_day", "told_hour"):
        op.add_column("guest_session", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    for name in ("told_router_id", "told_seconds", "told_up", "told_down"):
        op.add_column("guest_session", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    for table, waiting in (
        ("sale", sa.text("told = 0")),
        ("guest_session", sa.text("told = 0 AND ended_at IS NOT NULL")),
    ):
        op.create_index(f"{table}_untold", table, ["site_id", "id"], postgresql_where=waiting, sqlite_where=waiting)


def downgrade() -> None:
    op.drop_index("guest_session_untold", table_name="guest_session")
    op.drop_index("sale_untold", table_name="sale")
    with op.batch_alter_table("guest_session") as batch_op:
        for name in ("told_down", "told_up", "told_seconds", "told_router_id", "told_hour", "told_day", "told"):
            batch_op.drop_column(name)
    with op.batch_alter_table("sale") as batch_op:
        batch_op.drop_column("told")
        batch_op.drop_column("router_id")
    op.drop_table("use_sum")
    op.drop_table("sale_sum")
