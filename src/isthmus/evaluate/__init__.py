"""Predictions, scores and the statistics that say how much to believe them."""
