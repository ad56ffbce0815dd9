"""OpenAI's protocols: `chat.py` is chat completions; of responses, `responses.py` reads and `items.py` writes."""
