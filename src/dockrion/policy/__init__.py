"""What is allowed to leave."""
