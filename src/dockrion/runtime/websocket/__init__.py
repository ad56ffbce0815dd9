"""`/invoke/ws`: several runs on one connection, their events as JSON messages."""
