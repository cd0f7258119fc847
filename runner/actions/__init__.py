"""Actions: planned and decided by the broker, applied once, verified."""
