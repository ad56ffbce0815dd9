"""Who executes accepted runs."""
