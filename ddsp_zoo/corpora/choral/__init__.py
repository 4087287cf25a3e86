"""Choirs recorded singer by singer."""
