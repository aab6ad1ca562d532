"""The embedded stack: real servers from the package registry, on loopback and free ports, that die with their parent."""
