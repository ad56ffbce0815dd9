"""AG-UI: `requests.py` reads, `events.py` writes."""
