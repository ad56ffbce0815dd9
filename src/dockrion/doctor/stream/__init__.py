"""What stands between callers and a deployed agent, told from how its answers come through."""
