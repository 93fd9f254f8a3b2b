"""The demo: a made-up company bills three months of usage through the HTTP API, seen from the outside only."""
