"""Running alone: desired state from a directory, a git repository or the store, into the one loop."""
