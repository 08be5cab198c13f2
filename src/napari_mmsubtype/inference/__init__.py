"""Run networks over slides, patch by patch."""
