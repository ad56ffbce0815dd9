"""A2A: `requests.py` reads (a message's parts in `parts.py`), `tasks.py` writes, `card.py` is the agent card; the two versions differ in `words.py` alone."""
