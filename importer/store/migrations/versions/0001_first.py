"""The first schema.

Nothing was released before it, so the tables are those of `schema.py`. The first step after a release writes
down in this file what the tables were by then.
"""

from __future__ import annotations

from alembic import op

from importer.store.schema import APPLICATION_ID, metadata, triggers

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Tables, then triggers in the words of the database. An embedded store says what it is."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    metadata.create_all(connection)
    for trigger in triggers(connection.dialect.name):
        connection.exec_driver_sql(trigger)
