"""A2A: `endpoint.py` answers messages, with `tasks.py` for those about tasks that are there, and `listing.py` for lists of them; `card.py` answers with the agent card."""
