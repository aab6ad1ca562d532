"""The metronome: fixed jobs at fixed intervals, watched by a clock that nobody can set."""

from countersign.scheduler.metronome import Beat, Metronome

__all__ = ["Beat", "Metronome"]
