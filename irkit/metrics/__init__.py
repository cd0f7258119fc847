"""Metrics: queries, their answers as frames and figures, and when they left the usual."""
