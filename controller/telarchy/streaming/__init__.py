"""Streaming: live streams, from the publisher to what viewers get."""
