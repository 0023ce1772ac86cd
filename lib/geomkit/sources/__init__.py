"""Get texts, weights and imported hidden states; no other package uses the network."""
