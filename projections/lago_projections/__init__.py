"""The documents that the API serves, one module per kind."""
