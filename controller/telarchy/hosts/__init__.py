"""Hosts: which of them are there, and what is said about them."""
