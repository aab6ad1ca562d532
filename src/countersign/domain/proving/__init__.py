"""The prover: what a catalog and a directory let people reach, worked out before anybody tries."""

from countersign.domain.proving.effects import Effect, Effects, effects_of, outcome
from countersign.domain.proving.proof import Answer, Finding, Proof, Severity, Witness
from countersign.domain.proving.prover import Prover, prove
from countersign.domain.proving.sheet import sheet

__all__ = [
    "Answer",
    "Effect",
    "Effects",
    "Finding",
    "Proof",
    "Prover",
    "Severity",
    "Witness",
    "effects_of",
    "outcome",
    "prove",
    "sheet",
]
