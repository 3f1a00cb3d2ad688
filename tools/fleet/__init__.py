"""Files of cabinets and accumulators: read, checked, and written again with what failed."""
