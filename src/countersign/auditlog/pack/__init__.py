"""Evidence packs: one archive that shows an auditor who had access and why, and lets him check it without us.

| in the archive | is |
|---|---|
| `index.html` | the report: what is in the pack, populations, what stands out, which control is supported by which artefact |
| `grants/*.html` | one page for each grant of the sample |
| `proofs/*/*.tlog-proof` | for each entry about such a grant, the proof that it stands in the log (C2SP tlog-proof) |
| `log/` | the whole log up to its checkpoint, as C2SP tiles, entry bundles and signed checkpoint |
| `log.vkey`, `policy.txt` | the log's public key and a verifier's policy; compare them with what you were given elsewhere |
| `grants.csv`, `changes.csv`, `populations.csv`, `findings.csv` | whole populations, to be counted and sampled anew |
| `events/*.ndjson` | the entries of the period as OCSF 1.9 events |
| `rulebooks/*.json` | what each change of the rules changed, and the rules in force at the end |
| `openings.json` | the free texts of the sample, with the salts that open their commitments |
| `reconciliation/` | only where an auditor put it there: see `pack.reconciled` |
| `manifest.json` | selection, seed, checkpoint, the digest of the program that wrote the pack, and of every other file |

The bytes of a pack follow from the log, the selection and the program alone, so that whoever has all three gets the same
pack. The log in it is always whole: a population is complete because its counts add up to the size that the checkpoint names.
"""

from countersign.auditlog.pack.read import verify_pack
from countersign.auditlog.pack.selection import Selection
from countersign.auditlog.pack.source import PackRefused, Source
from countersign.auditlog.pack.write import write_pack

__all__ = ["PackRefused", "Selection", "Source", "verify_pack", "write_pack"]
