"""Who owes whom, and who advances the money."""
