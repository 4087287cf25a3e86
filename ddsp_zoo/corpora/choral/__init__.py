"""Reads choirs that were recorded singer by singer."""
