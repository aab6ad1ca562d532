"""The commands, one module for what belongs together; each is loaded only when it is used."""
