"""Use cases in two halves: what faces people (`desk`, `questions`) and what faces providers (`issuer`, `sweeper`)."""
