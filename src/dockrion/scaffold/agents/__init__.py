"""Agents that run as they are, copied into new projects: each file stands there as it does here."""
