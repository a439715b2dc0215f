"""Programs in place of those that need a cloud or a container engine: they record and answer.

Each program is a few lines of shell that ask the test's own process, because a script calls them
very often, and a Python of its own would take most of the time.
"""
