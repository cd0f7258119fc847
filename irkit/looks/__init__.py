"""The questions a notebook asks: one source at a time, or several at once with visible gaps."""
