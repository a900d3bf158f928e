"""What every package stands on, and no business at all.

    errors       one error type with a stable code, and whose fault it was
    actor        who is acting, passed explicitly
    clock        what time it is, passed explicitly
    database     SQLite or PostgreSQL behind one interface; the only file that knows the dialect
    encryption   field encryption and blind indexes
    columns      column types: UTC times, encrypted text, canonical JSON
    batching/    the fast lane's tools: shared reads, shared commits, requests and answers
    jobs/        work that survives the process, enqueued in the caller's transaction
    outbound/    requests to addresses that somebody else told us
    delivery     messages that have to reach somebody, and what came of their attempts
    canonical    RFC 8785 JSON, digests, base64url
    codes        numbers of people and organisations that carry their own check
    bounded      caches with a limit
    paging       keyset pages with opaque cursors
    schemas      the API description, derived from message types and error classes

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
    "schemas",
]
