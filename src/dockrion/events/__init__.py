"""What happens in a run: events, the filter, the outbox, the context that agents use, and their framing."""
