"""The parts of the theory that need a model: planted facts, losses of bigrams, n-grams as token ids, small steps."""
