"""Run by Alembic, on the connection and inside the transaction that ``data/schema.py`` hands over."""

from alembic import context

from data.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite too: data/database.py sends BEGIN itself
)
context.run_migrations()
