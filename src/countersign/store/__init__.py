"""The database: one class over SQLAlchemy Core, one unit of work, and the log in the same transaction."""

from countersign.store.store import Store
from countersign.store.unit import (
    Cosigned,
    Cursor,
    OrderState,
    PageTicket,
    Posted,
    RaisedFinding,
    Remembered,
    Rulebook,
    Stop,
    Tx,
)

__all__ = [
    "Cosigned",
    "Cursor",
    "OrderState",
    "PageTicket",
    "Posted",
    "RaisedFinding",
    "Remembered",
    "Rulebook",
    "Stop",
    "Store",
    "Tx",
]
