"""Directories as images, and images in registries."""
