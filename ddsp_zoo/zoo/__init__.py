"""The zoo: manifest, checkpoints, loading by name."""
