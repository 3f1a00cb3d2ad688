"""All SQL. One function is one statement; it takes a transaction and never commits."""
