"""Honest numbers about predictions: metrics with intervals, calibration."""
