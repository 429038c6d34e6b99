"""Entry of Alembic: run the revisions on the connection that `corpus.storage.database.upgrade` gives."""

from alembic import context

connection = context.config.attributes["connection"]
# With this option SQLite keeps schema changes in the transaction, so a killed upgrade leaves the old schema.
context.configure(connection=connection, transactional_ddl=True, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()
