"""Deploys: what changed, when."""
