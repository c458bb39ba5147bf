"""The auction: commands in, events out. No clock, no SQL, no threads, no randomness."""
