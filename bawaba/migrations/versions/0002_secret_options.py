"""Routers keep secret options apart, sealed"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("router", sa.Column("secrets_sealed", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("router", "secrets_sealed")
