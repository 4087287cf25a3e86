"""Choirs: invented chorales and the singers that sing them."""
