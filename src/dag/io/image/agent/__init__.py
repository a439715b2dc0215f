"""The image of the agent: made of what is installed here and of wheels, without a daemon."""
