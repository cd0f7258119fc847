"""Logs: searches, their lines as a frame, and their patterns."""
