"""The pure part: no files, sockets, processes, clocks or environment."""
