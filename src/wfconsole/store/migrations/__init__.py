"""Alembic's folder: one file a revision under `versions`, oldest first; `env.py` runs them on the connection it is given."""
