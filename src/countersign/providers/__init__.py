"""Adapters to what makes credentials: one seam (`base`), and one package or module per provider behind it."""
