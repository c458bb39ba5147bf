"""How a database of an earlier release becomes one of this release: ``versions/``, one file a release, forward only."""
