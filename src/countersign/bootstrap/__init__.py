"""Puts the broker together: the one place where settings become objects and the clock is read."""
