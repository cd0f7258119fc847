"""For tests of integrations and runbooks: contract suites, fakes held to them, and bad servers."""
