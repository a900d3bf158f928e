"""The questions this package asks of the database; every function takes a transaction."""
