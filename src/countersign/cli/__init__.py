"""The command line: a client of the broker's API, the offline verifier, and the switches that start a broker."""
