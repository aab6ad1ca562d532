"""The PostgreSQL target's own part in ending a lease: a few functions installed there, and the client that calls them."""
