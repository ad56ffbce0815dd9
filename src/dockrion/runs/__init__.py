"""The one path that every invocation takes: a run."""
