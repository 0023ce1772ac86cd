"""Load models, place them on devices, capture their states, and intervene in them. Torch lives here."""
