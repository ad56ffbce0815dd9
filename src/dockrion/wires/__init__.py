"""Protocols: how the events of a run are written for a caller."""
