"""Connections to what processes share: a SQLite file, a Redis."""
