"""The declared world: a module per kind, what they share, and how they are read, checked and exported.

This room is the only source of `crds/`, of `schemas/` and of the reference docs.
"""
