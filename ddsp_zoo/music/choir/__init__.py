"""Invents four-part chorales and sings them."""
