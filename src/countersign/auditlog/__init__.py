"""The log that convicts: a C2SP transparency log written, proven and verified without a database or a server."""
