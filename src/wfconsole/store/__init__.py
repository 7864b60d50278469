"""The durable side of wfconsole: one SQLite file, content-addressed artifacts, and nobody else's SQL.

`sqlite.SqliteStore` implements `ports.Store`, `artifacts.DiskArtifacts` implements `ports.Artifacts`. Nothing is imported
here: the hot path must not pay for SQLModel, SQLAlchemy and Alembic, which only `tables` and `migrations` need.
"""
