"""What a database is going to do for a query, as it says itself (EXPLAIN)."""

from sqlalchemy import event, text


def must_use_an_index(database, ask):
    """Fails when any SELECT of `ask(tx)` would read a whole table, or when there is none."""
    found = statements(database, ask)
    assert found
    for statement, parameters in found:
        told = plan(database, statement, parameters)
        assert "Seq Scan" not in told, told
        scans = [line for line in told.splitlines() if line.startswith("SCAN")]
        assert not scans or _only_the_end(statement, told), told


def _only_the_end(statement, plan):
    """SQLite says SCAN too when it takes the first rows from one end of the primary key."""
    ends = "ORDER BY" in statement and "LIMIT" in statement and "WHERE" not in statement
    return ends and "TEMP B-TREE" not in plan


def statements(database, ask):
    """The SELECTs that `ask(tx)` sends, with their parameters."""
    seen = []

    def listen(connection, cursor, statement, parameters, context, many):
        if statement.lstrip().startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", listen)
    try:
        with database.write() as tx:  # some lock what they read
            ask(tx)
    finally:
        event.remove(database.engine, "before_cursor_execute", listen)
    return seen


def everything(database, act):
    """Every statement that `act()` sends, in order, but for the words that begin a transaction."""
    seen = []

    def listen(connection, cursor, statement, parameters, context, many):
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", listen)
    try:
        act()
    finally:
        event.remove(database.engine, "before_cursor_execute", listen)
    return seen


def commits(database, act):
    """How many transactions `act()` commits."""
    seen = []

    def listen(connection):
        seen.append(connection)

    event.listen(database.engine, "commit", listen)
    try:
        act()
    finally:
        event.remove(database.engine, "commit", listen)
    return len(seen)


def plan(database, statement, parameters):
    """The plan of one statement, as text."""
    with database.read() as tx:
        if database.dialect == "sqlite":
            rows = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", _bound(parameters))
            return "\n".join(row[3] for row in rows)
        tx.execute(text("SET LOCAL enable_seqscan = off"))
        return "\n".join(row[0] for row in tx.exec_driver_sql(f"EXPLAIN {statement}", parameters))


def _bound(parameters):
    """Positional parameters as the tuple that SQLAlchemy takes."""
    return tuple(parameters) if isinstance(parameters, list) else parameters
