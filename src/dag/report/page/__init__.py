"""Pages for a browser: each one file that needs no network and runs nothing of what it shows."""
