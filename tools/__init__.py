"""What the project is built and kept with: nothing here runs in a market."""
