"""Where finished packages are kept."""
