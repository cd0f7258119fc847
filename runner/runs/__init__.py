"""Runs of runbooks: started confined, heard while they run, resumed, kept."""
