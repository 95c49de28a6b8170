"""Custody: titles, copies, floors. Observe, plan, act; the rules that may never break stand in `invariants`."""
