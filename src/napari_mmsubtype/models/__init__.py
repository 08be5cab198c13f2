"""Networks: encoders, omics encoders, fusion models and the bundle."""
