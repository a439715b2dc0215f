"""What drives a build: clock, signals, clean-up."""
