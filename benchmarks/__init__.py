"""Speed and memory of isthmus beside `transformers.Trainer`: `make bench`, or `python -m benchmarks --help`."""
