"""The first schema.

Nothing was released before it, so the tables are those of `schema.py`. The first step after a release writes
down in this file what the tables were by then.
"""

from __future__ import annotations

from alembic import op

from importer.store.schema import create_all

revision = "0001"
down_revision = None


def upgrade() -> None:
    """All of it."""
    create_all(op.get_bind())
