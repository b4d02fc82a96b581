"""model: what can be said of a checkpoint without training on it."""
