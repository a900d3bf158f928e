"""The ground floor: what every room stands on, and no business at all.

    errors      one error type with a stable code, and whose fault it was
    actor       who is acting, passed explicitly
    clock       what time it is, passed explicitly
    database    SQLite or PostgreSQL behind one interface; the only file that knows the dialect
    encryption  field encryption and blind indexes
    codes       numbers of people and organisations, and their check characters
    columns     column types: UTC times, encrypted text, canonical JSON
    lanes       the fast lane's two tools: coalesced reads and group commit
    hot         the fast lane's request and answer, and their FastAPI twins
    jobs        work that survives the process, enqueued in the caller's transaction
    canonical   RFC 8785 JSON, digests, base64url
    paging      keyset pages with opaque cursors

Nothing here knows what a certificate, a token or a seal is. Import the modules, not this package.
"""

__all__ = [
    "actor",
    "bounded",
    "canonical",
    "chance",
    "clock",
    "codes",
    "columns",
    "database",
    "delivery",
    "encryption",
    "errors",
    "ids",
    "paging",
]
