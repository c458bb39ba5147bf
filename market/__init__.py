"""The front door: HTTP in, answers out. May import every other package; nothing imports it."""
