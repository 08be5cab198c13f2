"""What an analysis leaves: the store, and the maps drawn from it."""
