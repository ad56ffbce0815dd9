"""An agent that answers questions about a folder of Markdown files, with quotes and their sources."""
