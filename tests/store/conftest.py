"""Both databases, and the world on top of them."""

from tests.stores import clock, database_url, fresh_database, postgres, store, world

__all__ = ["clock", "database_url", "fresh_database", "postgres", "store", "world"]
