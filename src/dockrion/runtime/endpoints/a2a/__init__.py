"""A2A: `endpoint.py` answers messages, with `tasks.py` for those about tasks that are there; `card.py` answers with the agent card."""
