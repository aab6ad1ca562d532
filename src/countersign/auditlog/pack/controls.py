"""Which control each artefact of a pack supports. Whether a control is met, an auditor says, and no program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """One row of the control table.

    Attributes:
        asks: what the control is about, in our words; its own text is what counts.
        artefacts: files of the pack that support it.
        how: what an auditor does with them.
    """

    framework: str
    control: str
    asks: str
    artefacts: tuple[str, ...]
    how: str


def _rows(framework: str, *rows: tuple[str, str, tuple[str, ...], str]) -> tuple[Control, ...]:
    return tuple(
        Control(framework=framework, control=control, asks=asks, artefacts=artefacts, how=how)
        for control, asks, artefacts, how in rows
    )


_WHOLE = "verify the pack: the counts add up to the size that the checkpoint names"
CONTROLS: tuple[Control, ...] = (
    *_rows(
        "SEC 17a-4(f)",
        (
            "(f)(2)(i)(A)",
            "a complete, time-stamped trail from which each record can be re-created",
            ("log/checkpoint", "events/", "grants/"),
            "each change is an entry of its own; a page shows an access as it came about",
        ),
        ("(f)(2)(ii)", "the storing is verified", ("log/checkpoint", "manifest.json"), _WHOLE),
        (
            "(f)(2)(iv), (v)",
            "records can be downloaded, readable and usable",
            ("index.html", "grants.csv", "events/"),
            "read the pages; load the tables and events",
        ),
    ),
    *_rows(
        "FINRA",
        (
            "3110(b)(6)",
            "nobody supervises his own activity",
            ("grants.csv", "findings.csv"),
            "approver_is_requester is `no` in every row; attempts stand among the findings",
        ),
        (
            "3120",
            "procedures are tested, and the result is reported",
            ("findings.csv", "changes.csv", "index.html"),
            "what the detectors found, which rules changed and by whom",
        ),
        ("4511", "books and records are kept in the required form", ("log/checkpoint", "populations.csv"), _WHOLE),
    ),
    *_rows(
        "SOX ITGC",
        (
            "access: provisioning",
            "access is approved by another before it is given",
            ("grants.csv", "proofs/"),
            "draw a sample; each grant names who asked, who approved and when, with proofs",
        ),
        (
            "access: removal",
            "access ends in time",
            ("grants.csv",),
            "last_seen_dead_at and most_late_ms of every grant",
        ),
        (
            "change management",
            "changes of rules are approved by another",
            ("changes.csv", "rulebooks/"),
            "proposed_by and approved_by differ in every row after the first rules",
        ),
        (
            "completeness (IPE)",
            "the population is complete and accurate",
            ("populations.csv", "log/checkpoint"),
            _WHOLE,
        ),
    ),
    *_rows(
        "NIST 800-53",
        (
            "AC-2",
            "accounts are managed; temporary ones end by themselves",
            ("grants.csv", "changes.csv"),
            "ends and lateness",
        ),
        ("AC-5", "duties are separated", ("grants.csv", "rulebooks/"), "rules name who signs; no grant by oneself"),
        ("AC-6", "least privilege", ("grants.csv", "rulebooks/"), "each grant is one task, of a bounded duration"),
        ("AU-2", "events to be logged are chosen", ("populations.csv",), "every type of entry, with its count"),
        ("AU-3", "records say what, when, where, who and how it ended", ("events/",), "fields of each event"),
        ("AU-4", "storage for the log suffices", ("log/checkpoint",), "the log is whole up to its size"),
        ("AU-5", "a failure to log is answered", ("populations.csv",), "an act that cannot be logged does not happen"),
        (
            "AU-6",
            "records are reviewed and reported",
            ("findings.csv", "populations.csv"),
            "findings, reads by auditors",
        ),
        (
            "AU-7",
            "records can be reduced and reports made",
            ("index.html", "grants.csv"),
            "this report, made again by anyone",
        ),
        ("AU-8", "time stamps", ("events/", "findings.csv"), "times never run backwards; clock steps are entries"),
        ("AU-9", "records are protected", ("log/checkpoint", "proofs/"), "a change breaks the root that was signed"),
        (
            "AU-10",
            "nobody can deny having acted",
            ("proofs/", "grants/"),
            "approvals bind the digest of what was asked",
        ),
        ("AU-11", "records are kept", ("log/checkpoint",), "the oldest entry is entry 0"),
        ("AU-12", "records are generated where events happen", ("populations.csv",), "state and entry commit together"),
    ),
    *_rows(
        "PCI DSS 4.0.1",
        (
            "7.2",
            "access is defined, approved and reviewed",
            ("rulebooks/", "grants.csv", "changes.csv"),
            "rules, grants, changes",
        ),
        ("8.2", "identities are managed over their life", ("changes.csv",), "persons, aliases, keys, disablements"),
        (
            "8.6.1",
            "interactive use of system accounts is bounded, justified and approved",
            ("grants/",),
            "one page per grant",
        ),
        (
            "10.2",
            "logs hold access, administration, refused attempts",
            ("populations.csv", "events/"),
            "by type, with fields",
        ),
        (
            "10.3",
            "logs are protected",
            ("log/checkpoint", "proofs/"),
            "verify the pack, with a checkpoint that you kept",
        ),
        ("10.4", "logs are reviewed", ("findings.csv",), "what the detectors found in this period"),
    ),
)
