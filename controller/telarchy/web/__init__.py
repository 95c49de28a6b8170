"""HTTP: what can be asked of Telarchy, and the socket on which a running controller answers."""
