"""Omics and clinical tables: reading, recognising, matching and scaling them."""
