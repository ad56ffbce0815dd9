"""What may come in, which tools may run, and what may leave."""
