"""Frozen values and the transition tables between them: no clock, no input or output, standard library only."""
