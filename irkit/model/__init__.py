"""The vocabulary as frozen values: no I/O, no clocks, no vendors."""
