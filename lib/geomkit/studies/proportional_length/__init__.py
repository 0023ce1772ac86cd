"""Do laws with model size hold where texts grow with width, so that tokens per direction stay constant?

What would answer it: differences from projected donors at twice and half as many tokens as a model is wide.
Outputs: results/scaling/following.csv."""
