"""Is a finished campaign complete, unchanged and sound? Recomputes what it can."""
