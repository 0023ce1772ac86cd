"""What of the theory needs a model: planted facts, losses of bigrams, n-grams as token ids, small steps."""
