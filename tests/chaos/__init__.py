"""Runs that are never lost: real processes that are killed, frozen, cut off and restarted."""
