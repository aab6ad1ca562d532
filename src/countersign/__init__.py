"""Countersign: a temporary credential broker with two-person approval, exact ends and a log that convicts."""

__version__ = "0.1.0"
