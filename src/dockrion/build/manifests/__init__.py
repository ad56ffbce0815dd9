"""What a platform is told to run an agent: a compose file, or Kubernetes objects, out of one Dockfile."""
