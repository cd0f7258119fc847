"""Acts: named by a notebook, decided and applied by the runner."""
