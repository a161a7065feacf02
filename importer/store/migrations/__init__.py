"""The steps from one version of the schema to the next, applied by Alembic when a store is opened."""
