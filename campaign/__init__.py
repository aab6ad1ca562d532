"""The campaign: real servers, killed at random under load, and what outlived its window counted from the target's own view."""
