"""Hooks, API and pages: thin edges over the runner; every decision is made behind them."""
