"""A2A: `requests.py` reads, `tasks.py` writes, `card.py` is the agent card; the two versions differ in `words.py` alone."""
