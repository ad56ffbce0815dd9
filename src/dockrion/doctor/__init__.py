"""What is wrong with an agent's surroundings: here, before it is served, and on the way to one that is deployed."""
