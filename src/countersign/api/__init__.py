"""The HTTP API: reads strictly, asks who is calling, renders answers and problems. It decides nothing."""
