"""Reads GuitarSet (Xi et al. 2018)."""
