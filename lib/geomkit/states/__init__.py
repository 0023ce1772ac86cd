"""Hidden states as one stream (`geomkit.states.stream`): stored, drawn, or of a model that runs; and the files made from them."""
