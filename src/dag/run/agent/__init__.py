"""What runs in a pod beside the build."""
