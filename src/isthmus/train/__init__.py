"""Training: the loop, the optimiser, the state that survives a kill, the stage."""
