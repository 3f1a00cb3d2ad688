"""The operators' console: the files that are served, and the programs that fetch and build them."""
