"""Qt panels; each edits or shows one plain object of the rooms below."""
