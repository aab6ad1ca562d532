"""Streams: the log as others receive it, by signed webhooks and as a file. Texts that people wrote leave as commitments only."""
