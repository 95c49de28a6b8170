"""Which room explains what: `why` of all of them."""

from __future__ import annotations

from telarchy.core.observation import Observation
from telarchy.core.world import World
from telarchy.custody.explain import why as of_custody
from telarchy.streaming.explain import TOPICS as STREAMING
from telarchy.streaming.explain import why as of_streaming


def why(topic: str, name: str, world: World, seen: Observation, now: float) -> list[str]:
    """Lines that explain it. Raises ConfigError when there is no such thing."""
    return (of_streaming if topic in STREAMING else of_custody)(topic, name, world, seen, now)
