"""Composition root and command line: everything is wired here only."""
