"""From the hub's rows to token ids, and the order in which they are trained on."""
