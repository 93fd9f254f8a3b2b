"""Fakepay: a payment provider plugin and the pretended PSP it talks to."""
