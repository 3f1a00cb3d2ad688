"""All SQL. Each function is one statement; it takes a transaction and never commits."""
