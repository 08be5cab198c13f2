"""What napari finds here: layers, reader and sample data; no Qt."""
