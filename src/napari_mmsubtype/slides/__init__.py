"""Lazy whole-slide images: backends, pyramid, tissue and patches."""
