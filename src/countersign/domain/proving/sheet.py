"""The proof as plain text that an auditor can read and file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from countersign.domain.proving.proof import Answer, Finding, Proof, Severity, Way

HEADINGS = (
    "entitlement",
    "environment",
    "alone",
    "least",
    "in emergency",
    "nobody for",
    "two factors",
    "ask and sign",
    "owner",
)


def sheet(proof: Proof) -> str:
    """Return a proof as text: the verdict, one row per entitlement, rules with witnesses, powers, findings."""
    return "\n".join(_lines(proof)) + "\n"


def _lines(proof: Proof) -> Iterator[str]:
    failures = [finding for finding in proof.findings if finding.severity is Severity.FAILURE]
    warnings = [finding for finding in proof.findings if finding.severity is Severity.WARNING]
    yield "Countersign: who can reach what"
    yield ""
    yield f"catalog    {proof.catalog}"
    yield f"directory  {proof.directory}"
    yield f"covers     {len(proof.answers)} entitlements, {proof.persons} active persons"
    yield f"verdict    {'holds' if proof.ok else 'DOES NOT HOLD'}: {len(failures)} failures, {len(warnings)} warnings"
    pair = proof.each_others_rules
    change = "nobody" if pair is None else f"2 together, such as {pair[0]} (proposes) + {pair[1]} (approves)"
    yield f"rules      changed by {change}"
    yield from _part("Entitlements")
    yield from _table(HEADINGS, [_row(answer) for answer in proof.answers])
    yield from _part("Rules, and one smallest set of persons for each")
    for answer in proof.answers:
        yield answer.entitlement
        yield from _way("", answer.review)
        if answer.automatic is not None:
            yield from _way("automatic: ", answer.automatic)
        if answer.break_glass is not None:
            yield from _way("in an emergency: ", answer.break_glass)
    yield from _part("Powers, by the broker's rules")
    bound = [power for power in proof.powers if power.by_the_rules]
    yield from _table(
        ("role", "holders", "reaches alone", "may"),
        [(power.who, str(power.holders), power.reaches, power.power) for power in bound],
    )
    yield from _part("Powers that no rule of the broker binds")
    for power in proof.powers:
        if not power.by_the_rules:
            yield f"{power.who}: {power.power}"
            yield f"  reaches alone  {power.reaches}"
            yield f"  seen           {power.seen}"
    yield from _part("Findings")
    yield from (_finding(finding) for finding in [*failures, *warnings])
    if not proof.findings:
        yield "none"


def _part(title: str) -> tuple[str, str, str]:
    return "", title, "-" * len(title)


def _way(when: str, way: Way) -> Iterator[str]:
    yield f"  rule     {when}{way.rule}"
    yield f"  witness  {way.witness or 'no set of persons'}"
    for overlap in way.two_factors:
        yield f"  in two   {overlap}"


def _row(answer: Answer) -> tuple[str, ...]:
    return (
        answer.entitlement,
        answer.environment,
        str(answer.alone),
        _least(answer.review) if answer.automatic is None else f"{_least(answer.automatic)} (automatic)",
        "-" if answer.break_glass is None else _least(answer.break_glass),
        str(answer.review.nobody_for.count),
        str(sum(overlap.people.count for overlap in answer.review.two_factors)),
        str(answer.review.each_other.count),
        f"{answer.owner} ({answer.owners.count}{', signs' if answer.owner_signs else ''})",
    )


def _least(way: Way) -> str:
    return "nobody" if way.least is None else str(way.least)


def _finding(finding: Finding) -> str:
    return f"{finding.severity}: {finding.code}: {finding.about}: {finding.detail}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
    for row in (columns, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
