"""From a trade to energy proven delivered and paid, on a chain that a stranger can check."""
