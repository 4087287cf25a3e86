"""Invents choral music, chorales and other styles, and sings it."""
