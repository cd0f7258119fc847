"""The stores: the ledger of what happened and the inbox of what came in, in one database."""
