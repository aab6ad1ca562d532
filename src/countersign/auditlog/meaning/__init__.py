"""What a log means: the facts replayed, to see whether every credential had its approvals and came to its end.

Bytes and tree show that nothing was changed since; this shows that what was written adds up. Pure, streaming, and in memory
that grows with what is open, not with the log. `broken` makes a log fail; the rest is what it honestly tells of.

| code | named entry | means |
|---|---|---|
| `digest-mismatch` | request, proposal | its digest is not that of its statement, or the statement is about something else |
| `request-twice`, `request-unknown` | request; what follows | submitted again; reviewed or decided without being submitted |
| `self-review` | review | the requester's own |
| `wrong-digest` | review, decision | on another digest than the request's (or proposal's) |
| `review-twice`, `review-late` | review | a second one by the same person; after the time for it |
| `not-eligible` | request, review, draw | the rules in force did not let this person ask, or sign in these groups |
| `rule-unknown`, `rule-changed` | request, draw | pinned to, or drawn under, a rule that was not in force |
| `beyond-rule` | request, grant | longer, more draws or other parameters than the rule allows |
| `quorum-not-reached` | grant, draw | those who signed do not fill the rule in force, each of them counted once |
| `review-after-decision`, `decided-twice` | review, decision | the request was decided before |
| `approved-without-approval` | decision | approved although nobody approved it, or one denied it |
| `automatic-unfounded` | approval in advance | the rule in force is not automatic or not by these two, or people look at it |
| `denied-without-denial`, `approved-without-grant` | decision, request | denied by nobody; approved, and no grant came of it |
| `grant-without-approval` | grant | no approved request behind it, or no approver in it |
| `approvers-mismatch` | grant, draw | the persons named are not exactly those who approved |
| `self-approval` | grant | the requester is among its approvers |
| `grant-mismatch` | grant | another digest, rule, person or duration than was asked for |
| `grant-twice`, `grant-unknown`, `grant-closed-twice` | grant | a request's second grant; closed without being open |
| `lease-without-grant`, `draw-after-close` | draw | no such grant; one that was closed |
| `draw-by-another`, `lease-mismatch` | draw, lease | not the grantee; another request, digest, grant or end than was prepared |
| `draws-exceeded` | draw | more draws than granted, those given back not counted |
| `draw-late`, `beyond-duration`, `not-after-extended` | draw | after the window; longer than approved; beyond the grant's end |
| `draw-given-back` | order to end | given back although the credential served |
| `beyond-backstop` | issue | the credential works beyond the latest end that was told |
| `lease-twice`, `lease-unknown`, `lease-order` | lease | a lease's facts out of their order |
| `dead-unordered`, `death-unseen`, `dead-twice`, `after-death` | death, lease | no order before it; not a death; dead before |
| `lateness` | death | it was later than it says |
| `lease-still-open`, `grant-still-open`, `request-still-open` | last about it | past its time at the end of the log, and no end |
| `stopped`, `disabled` | draw, act | under a stop; by a person who was disabled |
| `stop-self-lifted`, `stop-unknown` | lifting | by who placed it; of none in force |
| `stop-lifted-alone` | lifting | by one person, of what two lift |
| `rules-alone`, `rules-unproposed`, `rules-again` | rulebook | by one person; not what was proposed and approved; first twice |
| `rules-mismatch` | rulebook | its words, as the log holds them, are not those that its digests name |
| `proposal-unknown` | decision | of a proposal that is not open |
| `counter-mismatch` | counter-proposal, request | made by somebody who did not deny, for more, or taken up as something else |
| `envelope-void`, `emergency-untold` | request, draw | an envelope that does not cover it; break-glass that was not told |
| `signature-missing`, `signature-invalid` | review, rules | it had to be signed and is not; is, but not by its person over this |
| `signature-counter` | review, rules | the authenticator's counter did not rise |
| `passkey-chain`, `genesis-mismatch` | passkey, rulebook | not vouched for as it says; not the first rules given |
| `finding-unfounded`, `finding-twice` | finding | the entries before do not show it; raised again |
| `finding-missing` (broken, high) | what shows it | not raised, though later ones were; or not within an hour |
| `finding-unknown`, `finding-own` | acknowledgement | of nothing that was raised; by somebody whom it names |
| `fact-shape`, `leaf-format` | the entry | it does not say what entries of its type say |
| `time-backwards` | the entry | it says an earlier time than one before it, as `verify` judges it |
| `emergency-unreviewed` (high) | break-glass | the word on it afterwards is overdue |
| `overdue` (high), `late` (high, medium) | lease | not dead in time, told by the log itself |
| `anomaly`, `clock-step` (high) | the entry | a provider holds what the log does not explain; the clock disagreed |
| `witness-disputed` (high) | the dispute | a witness contradicted the log |
| `records-gap` (medium) | the entry | records of a provider or target were lost; what they would have shown is not known |
| `rules-untold` (high) | rulebook | an old log without the rules' words: who signed is judged, and not whether that was enough |
| `witness-disputed` (high) | the entry | a witness saw another log under this name; which of the two lied is not in it |
| `campaign-unknown`, `removal-unfounded` | campaign, membership | of none that is open; by nobody's word, before the time |
| `erasure-unfounded`, `erasure-early` | approval, erasure | not by two of whom one is an auditor; before its time or under hold |
| `unknown-type` (low) | the entry | a newer broker's fact, not judged |
"""

from countersign.auditlog.meaning.check import MeaningCheck
from countersign.auditlog.meaning.findings import DEFAULT, Finding, Severity, Thresholds
from countersign.auditlog.meaning.signatures import Genesis

__all__ = ["DEFAULT", "Finding", "Genesis", "MeaningCheck", "Severity", "Thresholds"]
