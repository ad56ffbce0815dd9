"""MCP: `requests.py` reads, with the words of JSON-RPC and of the revisions in `rpc.py`; `tool.py` is the agent as a tool, `events.py` writes a run,
`metadata.py` says where tokens come from.
"""
