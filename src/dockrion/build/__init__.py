"""What is written for an agent to run elsewhere, and what is installed for it to run here."""
