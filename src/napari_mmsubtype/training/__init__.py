"""Fitting encoders to patches and fusion models to bags."""
