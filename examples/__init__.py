"""An example distribution that really builds, for users to read and for the tests to build.

`layout.lay_out` writes it into a directory, and `sources.SourceServer` serves its sources.
"""
