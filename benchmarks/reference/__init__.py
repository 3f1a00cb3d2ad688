"""A reference implementation of unlock and booking, only for comparison in benchmarks."""
