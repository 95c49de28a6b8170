"""How a host is reached, and typed clients of what runs there."""
