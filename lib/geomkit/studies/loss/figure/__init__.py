"""Laws of the loss with model size, and with data."""
