"""A real distribution: real definitions, their real sources, and Debian's compiler."""
