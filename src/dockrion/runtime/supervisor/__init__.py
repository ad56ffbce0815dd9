"""Server processes under a supervisor: several that share a port, or one that starts anew after each change."""
