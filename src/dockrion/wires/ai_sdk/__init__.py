"""The AI SDK of Vercel: `requests.py` reads, its messages in `messages.py`; `chunks.py` writes."""
