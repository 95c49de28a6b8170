"""The engine: World, Observation, Action, Plan and the loop. It knows no kind and no capability by name."""
