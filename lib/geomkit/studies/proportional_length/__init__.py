"""Do laws with model size hold where texts are longer for wider models, so that tokens per direction stay the same?

What would answer it: differences from projected donors at twice and half as many tokens as a model is wide.
Outputs: results/scaling/following.csv."""
