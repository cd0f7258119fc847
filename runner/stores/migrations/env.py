"""Alembic runs this to migrate the connection that `runner.stores.database` hands over."""

from alembic import context

from runner.stores.database import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
