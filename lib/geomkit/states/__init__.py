"""Hidden states as one stream (`geomkit.states.stream`), from a dump, drawn rows or a running model; and the files made from
them."""
