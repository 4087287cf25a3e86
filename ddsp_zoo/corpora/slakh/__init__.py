"""Reads Slakh2100 (Manilow et al. 2019)."""
