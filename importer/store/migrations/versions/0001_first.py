"""The first schema.

Nothing was released before it, so the tables are those of `schema.py`. The first step after a release writes
down in this file what the tables were by then.
"""

from __future__ import annotations

from alembic import op

from importer.store.schema import metadata, triggers

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Tables, then triggers in the words of the database."""
    connection = op.get_bind()
    metadata.create_all(connection)
    for trigger in triggers(connection.dialect.name):
        connection.exec_driver_sql(trigger)
