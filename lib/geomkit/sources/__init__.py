"""Where texts, weights and other programs' states come from; the only wing that uses the network."""
