"""Run by Alembic: applies the steps on the connection that `database.py` hands over."""

from __future__ import annotations

from alembic import context

from importer.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True
)
context.run_migrations()
