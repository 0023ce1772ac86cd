"""Do laws with model size hold where texts grow with width, so that tokens per direction stay constant?

Answered by differences from the projected null at twice and half as many tokens as a model is wide. No protocol fixes them:
they are exploratory.
Outputs: results/following/, results/scaling/following.csv, on request."""
