"""What a project starts with: the text of its Dockfile, a working agent, the files around them."""
