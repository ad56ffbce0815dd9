"""HTTP: the app that serves one agent."""
