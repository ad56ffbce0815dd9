"""What a regular expression can match: its parse tree, how long it can hold text, how long it can take."""
