"""MCP: `endpoint.py` reads messages, few of which are runs; those go on in `calls.py`; `heads.py` has what stands in heads,
`metadata.py` answers who asks for tokens.
"""
