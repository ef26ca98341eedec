"""The study file: read with bounds, checked as a whole, given in the form that everything else works with."""
