"""What the agent does to files and pipes of a pod."""
