"""Use cases as jobs: generators of progress, driven alike by every door."""
